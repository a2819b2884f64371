void main() { colour_out = vec4(shade(0.25 * hair_colour, at, seen_normal(), 0.0, 1.0), 1.0); }
