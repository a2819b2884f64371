void main() { colour_out = vec4(shade(vec3(0.62, 0.30, 0.30), at, seen_normal(), 0.2, 30.0), 1.0); }
