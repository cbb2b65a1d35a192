// The builder of rooms: materials, solids in groups, and places for them.
#include "runtime/data/rooms_scene.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

// ---- Materials ----

Vec colour_srgb(int rgb) {
  float r = (float)(rgb >> 16 & 255) / 255, g = (float)(rgb >> 8 & 255) / 255, b = (float)(rgb & 255) / 255;
  return vec(powf(r, 2.2f), powf(g, 2.2f), powf(b, 2.2f));
}

Vec colour_jitter(Builder *b, Vec colour, float amount) {
  float light = draw(b, 1 - amount, 1 + amount);
  Vec out = vec(colour.x * light * draw(b, 1 - amount / 2, 1 + amount / 2), colour.y * light,
                colour.z * light * draw(b, 1 - amount / 2, 1 + amount / 2));
  return vec(fminf(out.x, 0.92f), fminf(out.y, 0.92f), fminf(out.z, 0.92f));
}

Material material_make(Builder *b, Texture texture, Vec first, Vec second, float scale, float shine) {
  return (Material){texture, first, second, scale, shine, 0, 1, 1, random_word(&b->random)};
}

Material material_wood(Builder *b) {
  static const int tones[][2] = {{0xc49a6c, 0x9c6f43}, {0x8b5a2b, 0x5f3a1a}, {0x5a3a22, 0x3c2414},
                                 {0xd9b98a, 0xb8935f}, {0xe6ddd0, 0xd8cdbd}, {0x3d2b22, 0x2a1c15},
                                 {0xa86f3d, 0x7d4a22}, {0xb8b0a4, 0x968d80}};
  const int *tone = tones[pick(b, COUNT(tones))];
  return material_make(b, TEXTURE_WOOD, colour_jitter(b, colour_srgb(tone[0]), 0.15f),
                       colour_jitter(b, colour_srgb(tone[1]), 0.15f), 1, draw(b, 0, 0.25f));
}

Material material_fabric(Builder *b) {
  static const int tones[] = {0x4a5a6b, 0x8c8577, 0xb03a2e, 0x2e4a3a, 0xc8b89a, 0x5b4a6f, 0x303036, 0x9aa5ad,
                              0xd9cfc0, 0x7a4a30, 0x2f5d8a, 0xc29b3f, 0x86423f, 0x60705a, 0xe4e0da, 0x3a6f70};
  Vec tone = colour_jitter(b, colour_srgb(tones[pick(b, COUNT(tones))]), 0.25f);
  return material_make(b, TEXTURE_FABRIC, tone, vec_scale(tone, 0.6f), 0.1f, 0);
}

// ---- Adding solids ----

Frame frame_at(float x, float y, float z, float yaw) { return (Frame){x, y, z, cosf(yaw), sinf(yaw)}; }

Frame frame_move(Frame f, float x, float y, float z, float yaw) {
  float c = cosf(yaw), s = sinf(yaw);
  return (Frame){f.x + f.cosine * x + f.sine * z, f.y + y, f.z - f.sine * x + f.cosine * z, f.cosine * c - f.sine * s,
                 f.sine * c + f.cosine * s};
}

void group_begin(Builder *b) {
  Scene *scene = b->scene;
  if (scene->n_groups < MAX_GROUPS) scene->group[scene->n_groups] = (Group){.first = scene->n_solids};
}

void group_end(Builder *b, bool casts_shadow) {
  Scene *scene = b->scene;
  if (scene->n_groups == MAX_GROUPS) return;
  Group *group = &scene->group[scene->n_groups];
  group->n = scene->n_solids - group->first;
  if (group->n == 0) return;
  group->casts_shadow = casts_shadow;
  group->low = vec(1e9f, 1e9f, 1e9f);
  group->high = vec(-1e9f, -1e9f, -1e9f);
  for (int i = group->first; i < scene->n_solids; i++) {
    const Solid *s = &scene->solid[i];
    Vec h = vec(fabsf(s->cosine) * s->half.x + fabsf(s->sine) * s->half.z, s->half.y,
                fabsf(s->sine) * s->half.x + fabsf(s->cosine) * s->half.z);
    if (s->kind == SOLID_ROUND && s->taper > 1) h.x *= s->taper, h.z *= s->taper;
    Vec low = vec_sub(s->centre, h), high = vec_add(s->centre, h);
    group->low = vec(fminf(group->low.x, low.x), fminf(group->low.y, low.y), fminf(group->low.z, low.z));
    group->high = vec(fmaxf(group->high.x, high.x), fmaxf(group->high.y, high.y), fmaxf(group->high.z, high.z));
  }
  scene->n_groups++;
}

static void add_solid(Builder *b, SolidKind kind, Frame f, Vec base, Vec half, float taper, Material material) {
  Scene *scene = b->scene;
  if (scene->n_solids == MAX_SOLIDS || scene->n_groups == MAX_GROUPS) return;
  Frame at = frame_move(f, base.x, base.y, base.z, 0);
  material.width = 2 * half.x;
  material.height = 2 * half.y;
  if (kind == SOLID_BOX && half.y < half.x && half.y < half.z) material.height = 2 * half.z; // it lies: seen from above
  scene->solid[scene->n_solids++] =
      (Solid){kind, vec(at.x, at.y + half.y, at.z), half, at.cosine, at.sine, taper, scene->n_groups, material};
}

void add_box(Builder *b, Frame f, float x, float y, float z, float width, float height, float depth,
             Material material) {
  add_solid(b, SOLID_BOX, f, vec(x, y, z), vec(width / 2, height / 2, depth / 2), 1, material);
}

void add_round(Builder *b, Frame f, float x, float y, float z, float radius, float top_radius, float height,
               Material material) {
  add_solid(b, SOLID_ROUND, f, vec(x, y, z), vec(radius, height / 2, radius), top_radius / radius, material);
}

void add_ball(Builder *b, Frame f, float x, float y, float z, float width, float height, float depth,
              Material material) {
  add_solid(b, SOLID_BALL, f, vec(x, y, z), vec(width / 2, height / 2, depth / 2), 1, material);
}

void add_light(Builder *b, Light light) {
  if (b->scene->n_lights < MAX_LIGHTS) b->scene->light[b->scene->n_lights++] = light;
}

// ---- Placing ----

// Takes the rectangle if it is inside the room, off the camera, and nothing else stands there.
static bool take(Builder *b, Footprint f) {
  const Scene *scene = b->scene;
  if (f.x0 < -1e-3f || f.z0 < -1e-3f || f.x1 > scene->size.x + 1e-3f || f.z1 > scene->size.z + 1e-3f) return false;
  if (b->n_taken == MAX_FOOTPRINTS) return false;
  float dx = fmaxf(fmaxf(f.x0 - scene->eye.x, scene->eye.x - f.x1), 0);
  float dz = fmaxf(fmaxf(f.z0 - scene->eye.z, scene->eye.z - f.z1), 0);
  if (dx * dx + dz * dz < 0.65f * 0.65f) return false;
  for (int i = 0; i < b->n_taken; i++) {
    const Footprint *g = &b->taken[i];
    if (f.x0 < g->x1 && g->x0 < f.x1 && f.z0 < g->z1 && g->z0 < f.z1) return false;
  }
  b->taken[b->n_taken++] = f;
  return true;
}

// What a thing covers that is turned by the frame's yaw, from its back (local z = 0) to its front.
static Footprint footprint(Frame f, float width, float back, float front) {
  Footprint out = {1e9f, 1e9f, -1e9f, -1e9f};
  for (int i = 0; i < 4; i++) {
    Frame corner = frame_move(f, i & 1 ? width / 2 : -width / 2, 0, i & 2 ? back : front, 0);
    out.x0 = fminf(out.x0, corner.x);
    out.x1 = fmaxf(out.x1, corner.x);
    out.z0 = fminf(out.z0, corner.z);
    out.z1 = fmaxf(out.z1, corner.z);
  }
  return out;
}

static Frame wall_frame(const Scene *scene, int wall, float along) {
  switch (wall) {
  case 0: return frame_at(along, 0, scene->size.z, (float)M_PI);
  case 1: return frame_at(0, 0, along, (float)M_PI / 2);
  case 2: return frame_at(scene->size.x, 0, along, -(float)M_PI / 2);
  default: return frame_at(along, 0, 0, 0);
  }
}

static int any_wall(Builder *b) {
  float r = draw(b, 0, 1);
  return r < 0.42f ? 0 : r < 0.69f ? 1 : r < 0.96f ? 2 : 3;
}

static float wall_length(const Scene *scene, int wall) {
  return wall == 0 || wall == 3 ? scene->size.x : scene->size.z;
}

static bool is_wall_free(const Builder *b, WallSpan s) {
  for (int i = 0; i < b->n_spans; i++) {
    const WallSpan *t = &b->span[i];
    if (t->wall == s.wall && s.from < t->to && t->from < s.to && s.low < t->high && t->low < s.high) return false;
  }
  return b->n_spans < MAX_SPANS;
}

bool place_at_wall(Builder *b, float width, float depth, float height, Frame *out) {
  for (int i = 0; i < 14; i++) {
    int wall = any_wall(b);
    float length = wall_length(b->scene, wall);
    if (length < width) continue;
    // Things like to stand in corners.
    float along = chance(b, 0.3f) ? (chance(b, 0.5f) ? width / 2 + 0.02f : length - width / 2 - 0.02f)
                                  : draw(b, width / 2, length - width / 2);
    WallSpan span = {wall, along - width / 2, along + width / 2, 0, height};
    if (!is_wall_free(b, span)) continue;
    Frame f = frame_move(wall_frame(b->scene, wall, along), 0, 0, draw(b, 0.015f, 0.05f), 0);
    if (!take(b, footprint(f, width, 0, depth))) continue;
    b->span[b->n_spans++] = span;
    *out = f;
    return true;
  }
  return false;
}

bool place_free(Builder *b, float width, float depth, Frame *out) {
  const Scene *scene = b->scene;
  for (int i = 0; i < 14; i++) {
    float yaw = (float)pick(b, 4) * (float)M_PI / 2 + (chance(b, 0.4f) ? draw(b, -0.5f, 0.5f) : 0);
    Frame f = frame_at(draw(b, 0.2f, 0.8f) * scene->size.x, 0, draw(b, 0.3f, 0.9f) * scene->size.z, yaw);
    if (!take(b, footprint(f, width, -depth / 2, depth / 2))) continue;
    *out = f;
    return true;
  }
  return false;
}

bool place_on_wall(Builder *b, int wall, float width, float low, float high, Frame *out) {
  for (int i = 0; i < 10; i++) {
    int w = wall < 0 ? any_wall(b) : wall;
    float length = wall_length(b->scene, w);
    if (length < width) continue;
    float along = draw(b, width / 2, length - width / 2);
    WallSpan span = {w, along - width / 2, along + width / 2, low, high};
    if (!is_wall_free(b, span)) continue;
    b->span[b->n_spans++] = span;
    *out = wall_frame(b->scene, w, along);
    return true;
  }
  return false;
}
