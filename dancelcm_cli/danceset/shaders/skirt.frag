uniform int bottom_pattern;
uniform vec3 bottom_first, bottom_second;

void main() {
    if (!in_skirt()) discard;
    vec3 colour = fabric(bottom_pattern, bottom_first, bottom_second);
    float pleat = noise_at(vec3(atan(at_rest.x, at_rest.z) * 9.0, at_rest.y * 0.3, 1.0));
    colour *= 0.86 + 0.2 * pleat;
    if (!gl_FrontFacing) colour *= 0.55;
    colour_out = vec4(shade(colour, at, folded(seen_normal(), 0.7), 0.03, 18.0), 1.0);
}
