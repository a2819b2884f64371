uniform int top_pattern, bottom_pattern;
uniform vec3 top_first, top_second, bottom_first, bottom_second;

void main() {
    vec3 colour;
    if (in_top(0.0)) colour = fabric(top_pattern, top_first, top_second);
    else if (in_bottom(0.0)) colour = fabric(bottom_pattern, bottom_first, bottom_second);
    else discard;
    colour *= 0.94 + 0.12 * noise_at(at_rest * vec3(3.0, 1.2, 3.0));
    if (!gl_FrontFacing) colour *= 0.55;
    colour_out = vec4(shade(colour, at, folded(seen_normal(), 0.7), 0.03, 18.0), 1.0);
}
