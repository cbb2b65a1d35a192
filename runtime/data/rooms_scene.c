// The plan of a room: its size, surfaces, lights, camera, and the choice of furniture.
#include "runtime/data/rooms_scene.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array)     ((int)(sizeof(array) / sizeof *(array)))
#define RADIANS(degrees) ((degrees) * (float)M_PI / 180)

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

static Material wall_material(Builder *b) {
  static const int paints[] = {0xf2efe6, 0xe8dfcb, 0xd9e2e4, 0xe9d8c8, 0xcfd8c4, 0xf0e4b8, 0xc9b8a6, 0xb8c8d8,
                               0xdcc6c6, 0xa8b5a0, 0xefefef, 0xc4a484, 0x8fa3b0, 0xb5651d, 0x7d8a6a};
  Vec paint = colour_jitter(b, colour_srgb(paints[pick(b, chance(b, 0.8f) ? 11 : COUNT(paints))]), 0.12f);
  float kind = draw(b, 0, 1);
  if (kind < 0.55f) return material_make(b, TEXTURE_PLASTER, paint, paint, 1, 0);
  if (kind < 0.68f)
    return material_make(b, TEXTURE_STRIPES, paint, vec_scale(paint, draw(b, 0.7f, 0.93f)), draw(b, 0.08f, 0.3f), 0);
  if (kind < 0.8f)
    return material_make(b, TEXTURE_DAMASK, paint, vec_scale(paint, draw(b, 0.6f, 0.9f)), draw(b, 0.12f, 0.35f), 0);
  if (kind < 0.86f)
    return material_make(b, TEXTURE_BRICK, colour_jitter(b, colour_srgb(0x9c4a32), 0.25f), colour_srgb(0xb8aea0),
                         0.075f, 0);
  return material_make(b, TEXTURE_PLAIN, paint, paint, 1, 0);
}

static Material floor_material(Builder *b, bool is_wet) {
  float kind = draw(b, 0, 1);
  if (is_wet || kind < 0.15f) {
    static const int tones[] = {0xd8d4c8, 0xb9a88f, 0x8d8f8e, 0xe9e6e0, 0x6d5f52, 0xa8563a};
    Vec tone = colour_jitter(b, colour_srgb(tones[pick(b, COUNT(tones))]), 0.12f);
    return material_make(b, TEXTURE_TILES, tone, vec_scale(tone, draw(b, 0.35f, 0.75f)), draw(b, 0.2f, 0.5f),
                         draw(b, 0.05f, 0.5f));
  }
  if (kind < 0.72f) {
    Material wood = material_wood(b);
    wood.texture = TEXTURE_PLANKS;
    wood.scale = draw(b, 0.07f, 0.16f);
    wood.shine = draw(b, 0, 0.45f);
    return wood;
  }
  Material carpet = material_fabric(b);
  carpet.texture = TEXTURE_CARPET;
  return carpet;
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

// ---- The kinds of room ----

typedef struct Plan {
  const char *name;
  float width[2], length[2]; // metres, from to
  float share;               // of all rooms
  bool is_wet;               // tiled floor
  int n_things;              // tried from the list, besides the first two
  struct {
    FurnishFn *furnish;
    const char *name;
  } thing[12]; // the first two are tried always
} Plan;

#define THING(name)                                                                                                    \
  { furnish_##name, #name }
static const Plan plans[] = {
    {"living room",
     {3.2f, 6.2f},
     {3.6f, 8.2f},
     0.28f,
     false,
     6,
     {THING(sofa), THING(television), THING(coffee_table), THING(armchair), THING(shelf), THING(floor_lamp),
      THING(plant), THING(dresser), THING(rug), THING(dining), THING(armchair), THING(boxes)}},
    {"bedroom",
     {2.8f, 4.8f},
     {3.2f, 6.0f},
     0.22f,
     false,
     5,
     {THING(bed), THING(wardrobe), THING(dresser), THING(desk), THING(armchair), THING(rug), THING(plant), THING(shelf),
      THING(floor_lamp), THING(boxes), THING(chair), THING(television)}},
    {"kitchen",
     {2.4f, 4.6f},
     {3.0f, 6.5f},
     0.16f,
     true,
     3,
     {THING(kitchen), THING(dining), THING(counter), THING(chair), THING(shelf), THING(plant), THING(boxes),
      THING(kitchen), THING(rug), THING(chair), THING(dresser), THING(counter)}},
    {"office",
     {2.6f, 5.5f},
     {3.2f, 8.0f},
     0.15f,
     false,
     6,
     {THING(desk), THING(shelf), THING(desk), THING(shelf), THING(wardrobe), THING(chair), THING(plant), THING(boxes),
      THING(desk), THING(dresser), THING(floor_lamp), THING(armchair)}},
    {"dining room",
     {3.0f, 5.2f},
     {3.4f, 7.5f},
     0.09f,
     false,
     4,
     {THING(dining), THING(dresser), THING(plant), THING(rug), THING(shelf), THING(chair), THING(floor_lamp),
      THING(armchair), THING(boxes), THING(chair), THING(television), THING(plant)}},
    {"hallway",
     {1.5f, 2.4f},
     {4.5f, 9.5f},
     0.05f,
     false,
     3,
     {THING(dresser), THING(plant), THING(shelf), THING(chair), THING(boxes), THING(rug), THING(wardrobe), THING(plant),
      THING(dresser), THING(chair), THING(boxes), THING(shelf)}},
    {"bathroom",
     {2.0f, 3.4f},
     {2.4f, 4.4f},
     0.05f,
     true,
     2,
     {THING(bath), THING(counter), THING(plant), THING(shelf), THING(boxes), THING(rug), THING(dresser), THING(plant),
      THING(chair), THING(counter), THING(shelf), THING(boxes)}},
};

static const Plan *choose_plan(Builder *b) {
  float r = draw(b, 0, 1);
  for (int i = 0; i < COUNT(plans) - 1; i++) {
    if (r < plans[i].share) return &plans[i];
    r -= plans[i].share;
  }
  return &plans[COUNT(plans) - 1];
}

static void choose_surfaces(Builder *b, const Plan *plan) {
  Scene *scene = b->scene;
  scene->face[FACE_FLOOR] = floor_material(b, plan->is_wet);
  Vec ceiling = colour_jitter(b, colour_srgb(chance(b, 0.85f) ? 0xf4f2ee : 0xd8cdb8), 0.06f);
  scene->face[FACE_CEILING] = material_make(b, TEXTURE_PLASTER, ceiling, ceiling, 1, 0);
  if (chance(b, 0.08f)) {
    scene->face[FACE_CEILING] = material_wood(b);
    scene->face[FACE_CEILING].texture = TEXTURE_PLANKS;
    scene->face[FACE_CEILING].scale = 0.12f;
  }
  Material wall = wall_material(b);
  for (int i = FACE_WALL; i < N_ROOM_FACES; i++) scene->face[i] = wall;
  if (chance(b, 0.3f)) scene->face[FACE_WALL + pick(b, 3)] = wall_material(b); // one wall of another kind
  if (plan->is_wet && chance(b, 0.6f)) {
    Vec tone = colour_jitter(b, colour_srgb(chance(b, 0.6f) ? 0xf0efea : 0x9fb8bc), 0.1f);
    Material tile = material_make(b, TEXTURE_TILES, tone, vec_scale(tone, 0.6f), draw(b, 0.1f, 0.3f), 0.3f);
    for (int i = FACE_WALL; i < N_ROOM_FACES; i++) scene->face[i] = tile;
  }
}

static void place_camera(Builder *b) {
  Scene *scene = b->scene;
  Vec size = scene->size;
  float margin = fminf(0.45f, size.x * 0.3f);
  scene->eye.x = draw(b, margin, size.x - margin);
  scene->eye.z = draw(b, 0.3f, 0.3f + 0.25f * size.z);
  scene->eye.y = clampf(1.35f + 0.2f * (float)random_normal(&b->random), 0.75f, 1.8f);
  float target_x = draw(b, 0.05f, 0.95f) * size.x, target_z = draw(b, 0.6f, 1) * size.z;
  scene->yaw = atan2f(target_x - scene->eye.x, target_z - scene->eye.z) + RADIANS(draw(b, -10, 10));
  scene->pitch = RADIANS(clampf(10 + 7 * (float)random_normal(&b->random), -6, 30));
  scene->focal = 518.86f / 640 * draw(b, 0.985f, 1.015f);
}

static void light_room(Builder *b, bool has_window) {
  Scene *scene = b->scene;
  static const int warmth[] = {0xffe2b8, 0xfff0da, 0xfff8ee, 0xf0f4ff};
  bool is_on = !has_window || chance(b, 0.55f);
  if (is_on) {
    Vec colour = vec_scale(colour_srgb(warmth[pick(b, COUNT(warmth))]), draw(b, 2.2f, 4.5f));
    float x = scene->size.x * draw(b, 0.35f, 0.65f), z = scene->size.z * draw(b, 0.4f, 0.7f),
          drop = draw(b, 0.05f, 0.7f);
    Frame f = frame_at(x, scene->size.y, z, 0);
    Material shade = material_make(b, TEXTURE_PLAIN, colour_srgb(0xfff4e0), colour_srgb(0xfff4e0), 1, 0);
    shade.glow = 1.6f;
    group_begin(b);
    if (drop > 0.3f) {
      add_round(b, f, 0, -drop, 0, 0.006f, 0.006f, drop, b->metal);
      if (chance(b, 0.5f)) add_ball(b, f, 0, -drop - 0.14f, 0, 0.3f, 0.28f, 0.3f, shade);
      else add_round(b, f, 0, -drop - 0.16f, 0, 0.2f, 0.1f, 0.18f, shade);
      drop += 0.1f;
    } else {
      add_round(b, f, 0, -0.1f, 0, 0.13f, 0.2f, 0.09f, shade);
      drop = 0.15f;
    }
    group_end(b, false);
    add_light(b, (Light){.kind = LIGHT_BALL, .at = vec(x, scene->size.y - drop, z), .colour = colour, .radius = 0.14f});
  }
  float level = is_on ? draw(b, 0.22f, 0.4f) : draw(b, 0.16f, 0.3f);
  Vec sum = vec(0, 0, 0);
  for (int i = 0; i < scene->n_lights; i++) sum = vec_add(sum, scene->light[i].colour);
  float grey = (sum.x + sum.y + sum.z) / 3 + 1e-3f;
  scene->ambient = vec_scale(vec_mix(vec(1, 1, 1), vec_scale(sum, 1 / grey), 0.5f), level);
}

void scene_build(uint64_t seed, uint64_t index, Scene *scene) {
  memset(scene, 0, sizeof *scene);
  Builder builder = {.scene = scene, .random = random_substream(random_stream(seed, "room"), index)}, *b = &builder;
  const Plan *plan = choose_plan(b);
  scene->kind = plan->name;
  scene->seed = random_word(&b->random);
  scene->size =
      vec(draw(b, plan->width[0], plan->width[1]), draw(b, 2.35f, 3), draw(b, plan->length[0], plan->length[1]));
  place_camera(b);
  choose_surfaces(b, plan);
  b->wood = material_wood(b);
  b->wood2 = chance(b, 0.6f) ? b->wood : material_wood(b);
  b->fabric = material_fabric(b);
  b->fabric2 = material_fabric(b);
  b->metal = material_make(b, TEXTURE_PLAIN, vec(0.45f, 0.45f, 0.47f), vec(0.3f, 0.3f, 0.3f), 1, 0.6f);
  Vec white = colour_srgb(0xf2f0ec);
  b->white = material_make(b, TEXTURE_PLAIN, white, vec_scale(white, 0.7f), 1, 0.15f);

  int n_windows = chance(b, 0.75f) ? 1 + chance(b, 0.35f) : 0;
  for (int i = 0; i < n_windows; i++) furnish_window(b);
  if (chance(b, 0.5f)) furnish_door(b);
  if (chance(b, 0.2f)) furnish_pillar(b);
  light_room(b, n_windows > 0);

  size_t said = 0;
  for (int i = 0; i < 2 + plan->n_things; i++) {
    int k = i < 2 ? i : 2 + pick(b, 10);
    if (i >= 2 && chance(b, 0.15f)) continue;
    int before = scene->n_groups;
    plan->thing[k].furnish(b);
    if (scene->n_groups > before && said < sizeof scene->furniture - 24)
      said += (size_t)snprintf(scene->furniture + said, sizeof scene->furniture - said, "%s%s", said ? ", " : "",
                               plan->thing[k].name);
  }
  int n_pictures = pick(b, 4);
  for (int i = 0; i < n_pictures; i++) furnish_picture(b);
  if (chance(b, 0.35f)) furnish_wall_shelf(b);
  if (chance(b, 0.3f)) furnish_radiator(b);

  scene->exposure = draw(b, 0.75f, 1.3f);
  scene->noise = draw(b, 0.004f, 0.02f);
  scene->vignette = draw(b, 0, 0.35f);
  scene->tint = vec(draw(b, 0.93f, 1.07f), 1, draw(b, 0.9f, 1.08f));
}

void room_describe(uint64_t seed, uint64_t index, char out[ROOM_TEXT]) {
  Scene scene;
  scene_build(seed, index, &scene);
  snprintf(out, ROOM_TEXT, "%s %.1fx%.1fx%.1f m: %s", scene.kind, (double)scene.size.x, (double)scene.size.z,
           (double)scene.size.y, scene.furniture);
}
