// The chart of hair: course around the head, share and dm along the strand (see hair.py).
uniform float curls;  // 0: straight strands, 1: curls

void main() {
    float course = at_chart.x * 26.0, down = at_chart.y * at_chart.z;
    float lock = noise_at(vec3(course * 1.3, down * 0.5, 3.0));
    float strand = noise_at(vec3(course * 6.0, down * 0.9, 7.0));
    vec3 bushy = at_rest * 14.0;
    strand = mix(strand, noise_at(bushy), curls);
    lock = mix(lock, noise_at(0.5 * bushy + 5.0), curls);
    if (at_chart.y > 1.0 - 0.16 * lock / max(at_chart.z, 1.0)) discard;
    vec3 normal = seen_normal();
    vec3 sideways = normalize(cross(vec3(0.0, 1.0, 0.001), normal));
    normal = normalize(normal + sideways * (0.7 * (strand - 0.5) + 0.5 * (lock - 0.5)));
    vec3 colour = hair_colour * (0.45 + 0.65 * strand + 0.35 * lock);
    if (!gl_FrontFacing) colour *= 0.5;
    colour_out = vec4(shade(colour, at, normal, 0.3, 26.0), 1.0);
}
