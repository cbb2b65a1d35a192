// Textures of rooms: procedural colours over a face, faded where they are finer than a pixel.
#include "runtime/data/rooms_scene.h"

float smooth_noise(float x, float y, uint32_t seed) {
  float fx = floorf(x), fy = floorf(y), u = x - fx, v = y - fy;
  uint32_t i = (uint32_t)(int32_t)fx * 0x9e3779b1u, j = (uint32_t)(int32_t)fy * 0x85ebca77u;
  uint32_t low = mix_bits(j ^ seed), high = mix_bits((j + 0x85ebca77u) ^ seed); // as in lattice_bits, rows shared
  u = u * u * (3 - 2 * u);
  v = v * v * (3 - 2 * v);
  float a = (float)(mix_bits(i ^ low) >> 8), b = (float)(mix_bits((i + 0x9e3779b1u) ^ low) >> 8);
  float c = (float)(mix_bits(i ^ high) >> 8), d = (float)(mix_bits((i + 0x9e3779b1u) ^ high) >> 8);
  float below = a + (b - a) * u, above = c + (d - c) * u;
  return (below + (above - below) * v) * 0x1p-24f;
}

// Smooth noise minus its mean, faded out as the footprint nears the size of its cells.
static float detail(float x, float y, float cell, float footprint, uint32_t seed) {
  float fade = 1.4f - 1.4f * footprint / cell;
  if (fade <= 0) return 0;
  return (smooth_noise(x / cell, y / cell, seed) - 0.5f) * (fade < 1 ? fade : 1);
}

static float fraction(float x) { return x - floorf(x); }

// How much of a pixel at `x` within a period of 1 lies on a line of the given width around whole numbers.
static float line(float x, float width, float footprint) {
  float distance = fabsf(fraction(x + 0.5f) - 0.5f), blur = footprint + 1e-4f;
  float cover = (0.5f * width - distance) / blur + 0.5f;
  return clampf(cover, 0, 1) * (width < blur ? width / blur : 1);
}

static Vec wood_grain(const Material *m, float u, float v, float footprint, uint32_t seed) {
  float bend = detail(u * 0.6f, v * 4, 0.5f, footprint, seed) * 0.12f;
  float rings = detail(u * 0.25f, (v + bend) * 3, 0.045f, footprint * 2, seed ^ 1);
  float fine = detail(u * 0.1f, v, 0.008f, footprint, seed ^ 2);
  return vec_mix(m->a, m->b, clampf(0.4f + 0.9f * rings + 0.4f * fine, 0, 1));
}

static Vec planks(const Material *m, float u, float v, float footprint) {
  float width = m->scale, row = floorf(v / width), length = width * 9;
  float shift = lattice((int32_t)row, 7, m->seed) * length, along = (u + shift) / length;
  int32_t board = (int32_t)floorf(along);
  float tone = lattice(board, (int32_t)row, m->seed ^ 5);
  Vec colour = wood_grain(m, u + 3 * tone, v + 5 * tone, footprint, m->seed ^ (uint32_t)(board * 31 + (int32_t)row));
  colour = vec_scale(colour, 0.78f + 0.44f * tone);
  float gap =
      maxf(line(v / width, 0.004f / width, footprint / width), line(along, 0.004f / length, footprint / length));
  return vec_scale(colour, 1 - 0.65f * gap);
}

static Vec tiles(const Material *m, float u, float v, float footprint) {
  float x = u / m->scale, y = v / m->scale, f = footprint / m->scale;
  int32_t i = (int32_t)floorf(x), j = (int32_t)floorf(y);
  float tone = lattice(i, j, m->seed), joint = maxf(line(x, 0.025f, f), line(y, 0.025f, f));
  bool is_checker = (m->seed & 3) == 0;
  Vec colour = is_checker && ((i + j) & 1) ? m->b : m->a;
  colour = vec_scale(colour, 0.92f + 0.13f * tone + 0.15f * detail(u, v, 0.06f, footprint, m->seed));
  return vec_mix(colour, is_checker ? vec(0.35f, 0.33f, 0.3f) : m->b, joint);
}

static Vec brick(const Material *m, float u, float v, float footprint) {
  float height = m->scale, row = floorf(v / height), x = u / (3.2f * height) + 0.5f * fraction(row * 0.5f) * 2;
  float tone = lattice((int32_t)floorf(x), (int32_t)row, m->seed);
  float joint = maxf(line(v / height, 0.13f, footprint / height), line(x, 0.045f, footprint / (3.2f * height)));
  Vec colour = vec_scale(m->a, 0.7f + 0.5f * tone + 0.5f * detail(u, v, 0.02f, footprint, m->seed));
  return vec_mix(colour, m->b, joint);
}

static Vec damask(const Material *m, float u, float v, float footprint) {
  float x = u / m->scale, y = v / m->scale;
  float row = floorf(y);
  x += 0.5f * fraction(row * 0.5f) * 2;
  float px = fraction(x) - 0.5f, py = fraction(y) - 0.5f;
  float angle = atan2f(py, px), radius = sqrtf(px * px + py * py);
  float petals = 3 + (float)(m->seed % 4), edge = 0.26f + 0.1f * cosf(petals * angle);
  float cover = clampf((edge - radius) * m->scale / (footprint + 1e-4f) + 0.5f, 0, 1);
  float fade = clampf(1.3f - footprint / m->scale, 0, 1);
  return vec_mix(m->a, m->b, 0.2f + (cover - 0.2f) * fade);
}

static Vec rug(const Material *m, float u, float v, float footprint) {
  float x = fabsf(u) / (0.5f * m->width), y = fabsf(v) / (0.5f * m->height);
  float edge = minf((1 - x) * m->width, (1 - y) * m->height) * 0.5f;
  Vec third = vec(m->b.y, m->b.z, m->b.x), colour = m->a;
  if (edge < 0.06f) colour = m->b;
  else if (edge < 0.09f) colour = m->a;
  else if (edge < 0.2f) colour = vec_mix(m->b, third, line((u + v) / 0.16f, 0.5f, footprint / 0.16f));
  else {
    int motif = (int)(m->seed % 3);
    float s = 0.3f, p = fabsf(fraction(u / s) - 0.5f), q = fabsf(fraction(v / s) - 0.5f);
    float shape = motif == 0 ? p + q : motif == 1 ? maxf(p, q) * 1.5f : sqrtf(p * p + q * q) * 1.4f;
    colour =
        vec_mix(m->a, shape < 0.22f ? third : m->b, clampf((0.42f - shape) * s / (footprint + 1e-4f) + 0.5f, 0, 1));
  }
  return vec_scale(colour, 1 + 0.5f * detail(u, v, 0.012f, footprint, m->seed));
}

// Blocks, discs and bands of a few colours, or a landscape.
static Vec painting(const Material *m, float u, float v, float footprint) {
  float x = u / m->width + 0.5f, y = v / m->height + 0.5f;
  Vec colour = vec_mix(m->a, m->b, y);
  if (m->seed & 1) { // hills under a sky
    for (int i = 0; i < 4; i++) {
      float top = 0.75f - 0.18f * (float)i + 0.25f * (smooth_noise(x * (2 + (float)i), (float)i * 9, m->seed) - 0.5f);
      Vec hill = vec(0.08f + 0.3f * lattice(i, 1, m->seed), 0.12f + 0.3f * lattice(i, 2, m->seed),
                     0.05f + 0.3f * lattice(i, 3, m->seed));
      colour = vec_mix(colour, hill, clampf((top - y) * m->height / (footprint + 1e-3f), 0, 1));
    }
    return colour;
  }
  for (int i = 0; i < 6; i++) {
    float cx = lattice(i, 11, m->seed), cy = lattice(i, 12, m->seed), r = 0.1f + 0.3f * lattice(i, 13, m->seed);
    float dx = fabsf(x - cx), dy = fabsf(y - cy), distance = i & 1 ? maxf(dx, 2 * dy) : sqrtf(dx * dx + dy * dy);
    Vec ink = vec(lattice(i, 14, m->seed), lattice(i, 15, m->seed), lattice(i, 16, m->seed));
    colour = vec_mix(colour, vec_mul(ink, ink), clampf((r - distance) * m->height / (footprint + 1e-3f), 0, 1));
  }
  return colour;
}

static Vec window_view(const Material *m, float u, float v, float footprint) {
  float y = v / m->height + 0.5f;
  Vec sky = vec_mix(vec(0.95f, 0.97f, 1), m->a, clampf(y, 0, 1));
  float horizon = 0.12f + 0.5f * smooth_noise(u * 1.8f + 40, 3, m->seed) * lattice(5, 5, m->seed);
  float leaf = detail(u, v, 0.09f, footprint, m->seed) + detail(u, v, 0.03f, footprint, m->seed ^ 9);
  if (y < horizon + 0.25f * leaf)
    sky = vec_mix(vec(0.25f, 0.34f, 0.16f), vec(0.5f, 0.58f, 0.4f), clampf(0.5f + leaf, 0, 1));
  return sky;
}

static Vec panels(const Material *m, float u, float v, float footprint) {
  float x = fraction(u / m->width * (m->scale > 0 ? m->scale : 1) + 0.5f), y = v / m->height + 0.5f;
  int rows = m->seed & 1 ? 2 : 3;
  float cell = fraction(y * (float)rows), width = m->width / maxf(m->scale, 1), height = m->height / (float)rows;
  float edge = minf(minf(x, 1 - x) * width, minf(cell, 1 - cell) * height);
  float groove = clampf(1 - fabsf(edge - 0.07f) / (0.012f + footprint), 0, 1) * 0.018f / (0.012f + footprint);
  float gap = clampf(1 - minf(x, 1 - x) * width / (0.004f + footprint), 0, 1) * (m->scale > 1 ? 1 : 0);
  Vec base = m->shine > 0.3f ? m->a : vec_scale(m->a, 1 + 0.25f * detail(u * 0.15f, v, 0.02f, footprint, m->seed));
  return vec_scale(base, 1 - minf(0.9f, 0.4f * minf(groove, 1) + 0.6f * gap));
}

Vec texture_colour(const Material *m, float u, float v, float footprint) {
  switch (m->texture) {
  case TEXTURE_PLAIN: return vec_scale(m->a, 1 + 0.12f * detail(u, v, 0.7f, footprint, m->seed));
  case TEXTURE_PLASTER:
    return vec_scale(m->a, 1 + 0.14f * detail(u, v, 0.6f, footprint, m->seed) +
                               0.1f * detail(u, v, 0.03f, footprint, m->seed ^ 3));
  case TEXTURE_PLANKS: return planks(m, u, v, footprint);
  case TEXTURE_WOOD: return wood_grain(m, u, v, footprint, m->seed);
  case TEXTURE_TILES: return tiles(m, u, v, footprint);
  case TEXTURE_BRICK: return brick(m, u, v, footprint);
  case TEXTURE_STRIPES: return vec_mix(m->a, m->b, line(u / m->scale, 0.5f, footprint / m->scale));
  case TEXTURE_DAMASK: return damask(m, u, v, footprint);
  case TEXTURE_CARPET:
    return vec_scale(m->a, 1 + 0.5f * detail(u, v, 0.015f, footprint, m->seed) +
                               0.2f * detail(u, v, 0.25f, footprint, m->seed ^ 1));
  case TEXTURE_RUG: return rug(m, u, v, footprint);
  case TEXTURE_FABRIC:
    return vec_scale(m->a, 1 + 0.35f * detail(u, v, 0.01f, footprint, m->seed) +
                               0.3f * detail(u, v, 0.16f, footprint, m->seed ^ 1));
  case TEXTURE_PAINTING: return painting(m, u, v, footprint);
  case TEXTURE_WINDOW: return window_view(m, u, v, footprint);
  case TEXTURE_PANELS: return panels(m, u, v, footprint);
  case TEXTURE_MARBLE: {
    float warp = detail(u, v, 0.3f, footprint, m->seed) * 1.2f,
          vein = fabsf(detail(u + warp, v - warp, 0.22f, footprint, m->seed ^ 4));
    return vec_mix(m->b, m->a, clampf(vein * 7, 0, 1));
  }
  case TEXTURE_SCREEN: return vec_mix(m->a, m->b, clampf(0.5f + v / (m->height + 0.1f), 0, 1) * 0.6f);
  case TEXTURE_LEAF:
    return vec_scale(m->a, 1 + 1.1f * detail(u, v, 0.05f, footprint, m->seed) +
                               0.6f * detail(u, v, 0.02f, footprint, m->seed ^ 1));
  }
  return m->a;
}
