// What the lamp sees of a part: only which of it is there. The numbers are the order of `Material`.
uniform int part;

void main() {
    if (part == 0 && in_shoe(0.0)) discard;
    if (part == 1 && !in_top(0.0) && !in_bottom(0.0)) discard;
    if (part == 2 && !in_skirt()) discard;
    if (part == 3 && !in_shoe(0.0)) discard;
    colour_out = vec4(1.0);
}
