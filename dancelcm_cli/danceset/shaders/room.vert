#version 330
uniform mat4 camera;
in vec3 point;
in vec2 place;
out vec3 at;
out vec2 at_place;

void main() {
    at = point;
    at_place = place;
    gl_Position = camera * vec4(point, 1.0);
}
