// What all parts of a figure get.

in vec3 at, across, at_rest;
in vec2 at_uv;
in vec4 at_chart;
out vec4 colour_out;

uniform vec3 head;         // middle of the eyes at rest
uniform float head_scale;  // half of the eyes' distance
uniform vec3 hair_colour;

// The normal on the side that is seen.
vec3 seen_normal() { return normalize(gl_FrontFacing ? across : -across); }

// The place at rest in head units: from between the eyes, in half eye distances.
vec3 in_head() { return (at_rest - head) / head_scale; }
