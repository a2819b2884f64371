uniform vec3 iris_colour, left_eye, right_eye;  // of the eyes: their centres at rest

void main() {
    vec3 out_of_it = normalize(at_rest - (at_rest.x > 0.0 ? left_eye : right_eye));
    float angle = acos(clamp(out_of_it.z, -1.0, 1.0));
    vec3 colour = vec3(0.88, 0.87, 0.86);
    if (angle < 0.50) colour = iris_colour * (0.7 + 0.5 * noise_at(out_of_it * 25.0));
    if (angle < 0.44 && angle > 0.40) colour *= 0.6;
    if (angle < 0.22) colour = vec3(0.02);
    colour_out = vec4(shade(colour, at, seen_normal(), 0.9, 90.0), 1.0);
}
