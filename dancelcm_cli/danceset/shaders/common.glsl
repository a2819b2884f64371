#version 330
// What all surfaces share: the light of the room, the lamp's shadow, and a noise.

uniform vec3 eye;
uniform vec3 lamp;            // unit vector towards it
uniform float lamp_strength;
uniform float ambient;
uniform mat4 shadow_matrix;
uniform sampler2DShadow shadow_map;
uniform sampler3D noise;

const vec3 SKY = vec3(1.0, 1.0, 1.0), GROUND = vec3(0.62, 0.58, 0.56);
const vec3 LAMP_COLOUR = vec3(1.0, 0.97, 0.92), FILL_COLOUR = vec3(0.8, 0.9, 1.0);

float noise_at(vec3 place) { return texture(noise, place / 32.0).r; }

// 0 in the lamp's shadow, 1 in its light; beyond the shadow map all is lit.
float lit(vec3 place, vec3 normal) {
    vec4 seen = shadow_matrix * vec4(place + 0.12 * normal, 1.0);
    vec3 at = seen.xyz * 0.5 + 0.5;
    vec2 texel = 1.0 / vec2(textureSize(shadow_map, 0));
    float sum = 0.0;
    for (int i = 0; i < 4; ++i) {
        vec2 offset = (vec2(i & 1, i >> 1) - 0.5) * texel;
        sum += texture(shadow_map, vec3(at.xy + offset, min(at.z, 1.0)));
    }
    return sum / 4.0;
}

// The colour of a surface of `colour` under lamp, sky and a weak light from the other side.
vec3 shade(vec3 colour, vec3 place, vec3 normal, float gloss, float sharpness) {
    vec3 view = normalize(eye - place);
    float facing = dot(normal, lamp);
    float key = lit(place, normal) * max((facing + 0.15) / 1.15, 0.0);
    vec3 sky = mix(GROUND, SKY, 0.5 + 0.5 * normal.y);
    float fill = 0.12 * max(dot(normal, vec3(-lamp.x, 0.2, lamp.z)), 0.0);
    vec3 light = ambient * sky + lamp_strength * key * LAMP_COLOUR + fill * FILL_COLOUR;
    float shine = gloss * key * pow(max(dot(normal, normalize(lamp + view)), 0.0), sharpness);
    float rim = 0.12 * pow(1.0 - max(dot(normal, view), 0.0), 3.0);
    return colour * (light + rim) + 0.6 * shine;
}
