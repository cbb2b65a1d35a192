// The plan of a room: its size, surfaces, lights, camera, and the choice of furniture.
#include "runtime/data/rooms_scene.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array)     ((int)(sizeof(array) / sizeof *(array)))
#define RADIANS(degrees) ((degrees) * (float)M_PI / 180)

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
