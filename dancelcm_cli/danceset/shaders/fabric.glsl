// Patterns of two colours: the numbers are those of `Pattern` in outfit.py.

float weave(float x) { return smoothstep(-0.03, 0.03, abs(fract(x) - 0.5) - 0.25); }

vec3 fabric(int pattern, vec3 first, vec3 second) {
    vec3 r = at_rest;
    float share = 0.0;
    if (pattern == 1) share = weave(r.y * 0.9);
    if (pattern == 2) share = weave(r.x * 0.8);
    if (pattern == 3) share = 0.5 * weave(r.x * 0.7 + 0.25) + 0.5 * weave(r.y * 0.7);
    if (pattern == 4) share = smoothstep(0.31, 0.26, length(fract(r.xy * 1.1) - 0.5));
    if (pattern == 5) {
        float radius = length(r.xy - vec2(0.0, neck.y - 2.2));
        share = r.z > 0.0 ? smoothstep(0.88, 0.82, radius) : 0.0;
    }
    if (pattern == 6) share = smoothstep(0.45, 0.55, noise_at(r * 1.3));
    return mix(first, second, share);
}

// Folds: the normal, tilted by a noise that is longer along the body than across it.
vec3 folded(vec3 normal, float depth) {
    vec3 p = at_rest * vec3(2.2, 0.9, 2.2);
    float here = noise_at(p);
    vec3 slope = vec3(noise_at(p + vec3(0.5, 0, 0)), noise_at(p + vec3(0, 0.5, 0)),
                      noise_at(p + vec3(0, 0, 0.5))) - here;
    return normalize(normal - depth * slope);
}
