// Where garments end, in body coordinates. A margin moves each edge inwards.

uniform vec3 neck;  // joint at rest
uniform float top_hem, neckline, sleeve, waist, bottom_hem, skirt_hem, collar;

float arm_share() { return at_chart.x; }
float along_arm() { return at_chart.y; }
float body_height() { return at_chart.z; }
float foot_share() { return at_chart.w; }

bool in_top(float margin) {
    if (arm_share() > 0.5) return along_arm() < sleeve - margin;
    vec3 from_neck = (at_rest - neck) * vec3(1.0, 0.8, 1.0);
    bool below_neckline = length(from_neck) > neckline + 14.0 * margin;
    return body_height() > top_hem + margin && body_height() < 1.0 && below_neckline;
}

bool in_bottom(float margin) {
    bool in_legs = arm_share() < 0.5 && foot_share() < 0.6;
    return in_legs && body_height() < waist - margin && body_height() > bottom_hem + margin;
}

bool in_shoe(float margin) {
    if (arm_share() > 0.5) return false;
    bool low = collar < 0.02 ? foot_share() > 0.5 : foot_share() > 0.5 || body_height() < collar;
    return low && body_height() < collar - margin;
}

// A shirt hangs over the skirt.
bool in_skirt() { return body_height() > skirt_hem && body_height() < min(waist, top_hem + 0.02); }
