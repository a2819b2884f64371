uniform vec3 skin_colour, lip_colour;
uniform float hairline, scalp, beard, brows;
uniform sampler2D marks;  // red lips, green ears, blue fingernails, alpha the inside of the mouth

float bump(float x, float centre, float width) { return exp(-pow((x - centre) / width, 2.0)); }

// Shades of a face: cheeks, eye sockets, nostrils, lips.
vec3 face(vec3 colour, vec3 h, float side, float front, vec4 mark) {
    float cheek = bump(side, 1.35, 0.7) * bump(h.y, -1.3, 0.7);
    float socket = bump(side, 1.0, 0.75) * bump(h.y, 0.25, 0.5);
    float nostril = bump(side, 0.30, 0.13) * bump(h.y, -1.62, 0.10);
    colour = mix(colour, colour * vec3(1.07, 0.86, 0.84), 0.55 * front * cheek);
    colour = mix(colour, colour * 0.72, 0.45 * front * socket);
    colour = mix(colour, colour * 0.55, 0.8 * front * nostril);
    colour = mix(colour, lip_colour, 0.85 * mark.r);
    colour = mix(colour, colour * vec3(1.05, 0.9, 0.88) + 0.06, 0.7 * mark.b);
    return mix(colour, vec3(0.25, 0.07, 0.06), mark.a);
}

float brow(vec3 h, float side, float front) {
    float arch = 0.92 + 0.30 * (1.0 - pow((side - 1.15) / 0.75, 2.0));
    float width = 0.15 * brows * (1.2 - 0.5 * abs(side - 0.9));
    float across_it = smoothstep(width, 0.45 * width, abs(h.y - arch));
    float along_it = smoothstep(0.28, 0.45, side) * smoothstep(1.95, 1.7, side);
    return front * across_it * along_it * (0.75 + 0.25 * noise_at(at_rest * 60.0));
}

float stubble(vec3 h, float front, vec4 mark) {
    float chin = smoothstep(-1.75, -2.3, h.y) * smoothstep(-5.2, -4.3, h.y);
    float grain = 0.7 + 0.5 * noise_at(at_rest * 40.0);
    float amount = beard * front * chin * (1.0 - mark.r) * smoothstep(-2.2, -1.2, h.z) * grain;
    return clamp(amount, 0.0, 0.9);
}

float on_scalp(vec3 h, float side, vec4 mark) {
    float ragged = 0.25 * noise_at(at_rest * 9.0) - 0.35 * smoothstep(0.9, 2.0, side);
    float line = 2.55 + hairline + 1.25 * h.z + ragged;
    bool there = mark.g < 0.3 && h.z < 1.5 && h.y > -6.0;
    return there ? scalp * smoothstep(0.0, 0.22, h.y - line) : 0.0;
}

void main() {
    if (in_top(0.012) || in_bottom(0.012) || in_shoe(0.012)) discard;
    vec3 h = in_head();
    float side = abs(h.x), front = smoothstep(-1.6, -0.2, h.z);
    vec4 mark = texture(marks, at_uv);
    vec3 colour = skin_colour * (0.93 + 0.1 * noise_at(at_rest * 6.0) + 0.05 * noise_at(at_rest * 25.0));
    colour = face(colour, h, side, front, mark);
    colour = mix(colour, 0.8 * hair_colour, brow(h, side, front));
    colour = mix(colour, 0.9 * hair_colour, stubble(h, front, mark));
    float hairy = on_scalp(h, side, mark);
    float strand = 0.65 + 0.6 * noise_at(at_rest * vec3(30.0, 4.0, 12.0));
    colour = mix(colour, hair_colour * strand, hairy);
    float gloss = mix(0.12 + 0.2 * mark.r, 0.25, hairy) * (1.0 - mark.a);
    colour_out = vec4(shade(colour, at, seen_normal(), gloss, mix(18.0, 30.0, hairy)), 1.0);
}
