#version 330
uniform mat4 camera;
in vec3 point, normal, rest;
in vec2 uv;
in vec4 chart;
out vec3 at, across, at_rest;  // place, normal, and the place before the dance
out vec2 at_uv;
out vec4 at_chart;

void main() {
    at = point;
    across = normal;
    at_rest = rest;
    at_uv = uv;
    at_chart = chart;
    gl_Position = camera * vec4(point, 1.0);
}
