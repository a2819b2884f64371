// Wall and floor; the surfaces' numbers are those of `Surface` in room.py.
in vec3 at;
in vec2 at_place;  // dm; on the wall y begins at WALL_MARK
out vec4 colour_out;

uniform vec3 wall, wall_top, floor_colour, wall_normal;
uniform int surface;

const float WALL_MARK = 1000.0;
const float WALL_FADE = 35.0;  // dm over which the wall's colour changes

// 1 on lines of `width` at whole numbers, as soft as a pixel is wide.
float line(float x, float width) {
    float soft = fwidth(x) + 1e-4;
    float from_line = abs(fract(x + 0.5) - 0.5);
    return 1.0 - smoothstep(0.5 * width - soft, 0.5 * width + soft, from_line);
}

float on_plane(vec2 p) { return noise_at(vec3(p, 16.0)); }

vec3 wall_colour(vec2 p) {
    vec3 colour = mix(wall, wall_top, clamp(p.y / WALL_FADE, 0.0, 1.0));
    if (surface == 1) colour *= 0.9 + 0.1 * line(0.22 * p.x, 0.5);
    if (surface == 2) {
        float row = p.y / 2.0, course = p.x / 4.5 + 0.5 * mod(floor(row), 2.0);
        colour *= 1.0 - 0.2 * max(line(course, 0.035), line(row, 0.08));
    }
    if (surface == 3) colour *= 0.75 + 0.5 * on_plane(p * 0.18);
    return colour;
}

vec3 ground_colour(vec2 p) {
    vec3 colour = floor_colour * (0.85 + 0.22 * on_plane(p * vec2(0.35, 0.25)));
    if (surface == 1) {
        float board = floor(p.x / 3.0);
        colour *= 0.9 + 0.2 * on_plane(vec2(board * 7.3, p.y * 0.15));
        colour *= 1.0 - 0.25 * line(p.x / 3.0, 0.04);
    }
    return colour;
}

void main() {
    bool is_wall = at_place.y > 0.5 * WALL_MARK;
    vec3 colour, normal;
    if (is_wall) {
        colour = wall_colour(at_place - vec2(0.0, WALL_MARK));
        normal = wall_normal;
    } else {
        colour = ground_colour(at_place);
        normal = vec3(0.0, 1.0, 0.0);
    }
    float dark = mix(0.55, 1.0, lit(at, normal));
    colour_out = vec4(colour * dark, 1.0);
}
