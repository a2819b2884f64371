uniform vec3 shoe_colour, sole_colour, lace_colour;
uniform float floor_height, sole_height;  // dm at rest

void main() {
    if (!in_shoe(0.0)) discard;
    float up = at_rest.y - floor_height;
    vec3 normal = seen_normal();
    vec3 colour = shoe_colour * (0.92 + 0.14 * noise_at(at_rest * 8.0));
    float instep = smoothstep(0.5, 0.8, across.y) * smoothstep(0.35, 0.5, up - sole_height);
    float laced = instep * step(0.5, fract(at_rest.z * 4.5));
    colour = mix(colour, lace_colour, 0.8 * laced);
    colour = mix(colour, sole_colour, 1.0 - smoothstep(sole_height - 0.02, sole_height + 0.02, up));
    if (!gl_FrontFacing) colour *= 0.4;
    colour_out = vec4(shade(colour, at, normal, 0.15, 22.0), 1.0);
}
