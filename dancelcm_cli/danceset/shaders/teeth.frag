void main() { colour_out = vec4(shade(vec3(0.86, 0.84, 0.80), at, seen_normal(), 0.3, 40.0), 1.0); }
