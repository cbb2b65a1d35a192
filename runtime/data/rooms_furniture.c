// Furniture to sit, lie and work at, put together from boxes, rounds and balls.
//
// Each piece finds its place, and leaves without a trace if there is none. Local x runs along the wall, z into the
// room.
#include "runtime/data/rooms_scene.h"

Material material_plain(Builder *b, Vec colour, float shine) {
  return material_make(b, TEXTURE_PLAIN, colour, vec_scale(colour, 0.6f), 1, shine);
}

// A material with some colour of its own, for small things.
Material material_paint(Builder *b, float shine) { return material_plain(b, material_fabric(b).a, shine); }

Material material_fronts(const Material *wood, float across) {
  Material out = *wood;
  out.texture = TEXTURE_PANELS;
  out.scale = across;
  return out;
}

void add_legs(Builder *b, Frame f, float width, float depth, float height, float inset, float thick,
              Material material) {
  bool is_round = thick < 0.05f;
  for (int i = 0; i < 4; i++) {
    float x = (i & 1 ? 1.f : -1.f) * (width / 2 - inset), z = (i & 2 ? 1.f : -1.f) * (depth / 2 - inset);
    if (is_round) add_round(b, f, x, 0, z, thick / 2, thick / 2, height, material);
    else add_box(b, f, x, 0, z, thick, height, thick, material);
  }
}

// Cups, bowls, books, bottles and fruit on a top of width x depth at height y. Each a thing of its own would cost too
// many groups; together they are one.
void add_clutter(Builder *b, Frame f, float y, float width, float depth, int most) {
  int n = pick(b, most + 1);
  if (n == 0) return;
  group_begin(b);
  for (int i = 0; i < n; i++) {
    float x = draw(b, -0.42f, 0.42f) * width, z = draw(b, -0.38f, 0.38f) * depth;
    switch (pick(b, 6)) {
    case 0: add_round(b, f, x, y, z, 0.035f, 0.042f, 0.09f, material_paint(b, 0.4f)); break;
    case 1: add_round(b, f, x, y, z, 0.05f, 0.11f, 0.07f, material_paint(b, 0.4f)); break;
    case 2:
      for (int k = 0; k <= pick(b, 3); k++)
        add_box(b, frame_move(f, x, y + 0.03f * (float)k, z, draw(b, -0.4f, 0.4f)), 0, 0, 0, 0.2f, 0.028f, 0.15f,
                material_paint(b, 0));
      break;
    case 3:
      add_round(b, f, x, y, z, 0.035f, 0.035f, 0.18f, material_paint(b, 0.6f));
      add_round(b, f, x, y + 0.18f, z, 0.035f, 0.013f, 0.05f, b->metal);
      break;
    case 4: add_ball(b, f, x, y, z, 0.09f, 0.085f, 0.09f, material_paint(b, 0.2f)); break;
    default:
      add_box(b, frame_move(f, x, y, z, draw(b, -1, 1)), 0, 0, 0, draw(b, 0.08f, 0.25f), draw(b, 0.04f, 0.18f), 0.12f,
              material_paint(b, 0));
      break;
    }
  }
  group_end(b, true);
}

void add_lamp(Builder *b, Frame f, float y, float height, float radius, bool is_on) {
  Material shade = material_plain(b, colour_srgb(0xfbe8c8), 0);
  shade.glow = is_on ? 1.3f : 0;
  group_begin(b);
  add_round(b, f, 0, y, 0, radius * 0.7f, radius * 0.6f, 0.025f, b->metal);
  add_round(b, f, 0, y, 0, 0.014f, 0.014f, height - radius, b->metal);
  add_round(b, f, 0, y + height - 1.3f * radius, 0, radius, radius * 0.65f, 1.3f * radius, shade);
  group_end(b, false);
  if (is_on)
    add_light(b, (Light){.kind = LIGHT_BALL,
                         .at = vec(f.x, f.y + y + height - 0.6f * radius, f.z),
                         .colour = vec_scale(colour_srgb(0xffd9a0), draw(b, 0.5f, 1.3f)),
                         .radius = 0.1f});
}

static void seat(Builder *b, Frame f, Material frame, Material cushion) {
  float style = draw(b, 0, 1), high = draw(b, 0.42f, 0.47f), wide = draw(b, 0.4f, 0.46f);
  group_begin(b);
  add_legs(b, f, wide, wide, high, 0.025f, chance(b, 0.5f) ? 0.035f : 0.05f, frame);
  add_box(b, f, 0, high, 0, wide, style < 0.5f ? 0.035f : 0.06f, wide, cushion);
  float back = draw(b, 0.38f, 0.52f);
  for (int side = -1; side <= 1; side += 2)
    add_box(b, f, (float)side * (wide / 2 - 0.02f), high, -wide / 2 + 0.02f, 0.035f, back, 0.035f, frame);
  if (style < 0.5f)
    for (int i = 0; i < 3; i++)
      add_box(b, f, 0, high + back * (0.3f + 0.27f * (float)i), -wide / 2 + 0.02f, wide - 0.04f, 0.055f, 0.02f, frame);
  else add_box(b, f, 0, high + back * 0.25f, -wide / 2 + 0.02f, wide - 0.03f, back * 0.75f, 0.03f, cushion);
  group_end(b, true);
}

static void swivel_chair(Builder *b, Frame f) {
  Material black = material_plain(b, vec(0.02f, 0.02f, 0.022f), 0.2f),
           cloth = chance(b, 0.5f) ? black : material_fabric(b);
  group_begin(b);
  for (int i = 0; i < 5; i++) {
    Frame arm = frame_move(f, 0, 0, 0, (float)i * 1.2566f);
    add_box(b, arm, 0, 0.05f, 0.15f, 0.04f, 0.035f, 0.28f, black);
    add_ball(b, arm, 0, 0, 0.28f, 0.05f, 0.05f, 0.05f, black);
  }
  add_round(b, f, 0, 0.06f, 0, 0.03f, 0.03f, 0.36f, b->metal);
  add_box(b, f, 0, 0.42f, 0, 0.47f, 0.08f, 0.46f, cloth);
  add_box(b, f, 0, 0.58f, -0.21f, 0.42f, 0.5f, 0.06f, cloth);
  add_box(b, f, 0, 0.42f, -0.23f, 0.06f, 0.25f, 0.03f, black);
  group_end(b, true);
}

void furnish_chair(Builder *b) {
  Frame f;
  if (!place_free(b, 0.5f, 0.5f, &f)) return;
  seat(b, frame_move(f, 0, 0, 0, draw(b, -0.5f, 0.5f)), b->wood, chance(b, 0.5f) ? b->wood : b->fabric2);
}

static void couch(Builder *b, Frame f, float width, int seats) {
  Material cloth = b->fabric;
  float high = draw(b, 0.36f, 0.44f), deep = 0.88f, arm = draw(b, 0.12f, 0.24f), back = draw(b, 0.34f, 0.46f);
  group_begin(b);
  add_box(b, f, 0, 0.07f, deep / 2, width, high - 0.17f, deep, cloth);
  add_box(b, f, 0, 0.07f, 0.11f, width, high + back - 0.1f, 0.2f, cloth);
  for (int side = -1; side <= 1; side += 2)
    add_box(b, f, (float)side * (width - arm) / 2, 0.07f, deep / 2, arm, high + 0.12f, deep, cloth);
  float each = (width - 2 * arm) / (float)seats;
  Material pad = cloth;
  pad.a = vec_scale(pad.a, 1.12f);
  for (int i = 0; i < seats; i++) {
    float x = -width / 2 + arm + each * ((float)i + 0.5f);
    add_box(b, f, x, high - 0.1f, deep / 2 + 0.1f, each - 0.015f, 0.14f, deep - 0.18f, pad);
    add_box(b, f, x, high + 0.03f, 0.27f, each - 0.02f, back - 0.08f, 0.15f, pad);
  }
  for (int i = 0; i < 4; i++)
    add_box(b, f, (i & 1 ? 1.f : -1.f) * (width / 2 - 0.07f), 0, i & 2 ? 0.08f : deep - 0.08f, 0.05f, 0.08f, 0.05f,
            b->wood);
  int n_pillows = pick(b, seats + 2);
  for (int i = 0; i < n_pillows; i++)
    add_ball(b, f, draw(b, -0.5f, 0.5f) * (width - 2 * arm - 0.4f), high + 0.03f, 0.4f, 0.44f, 0.4f, 0.2f,
             material_fabric(b));
  group_end(b, true);
}

void furnish_sofa(Builder *b) {
  Frame f;
  float width = draw(b, 1.5f, 2.3f);
  if (!place_at_wall(b, width + 0.1f, 0.95f, 0.85f, &f)) return;
  couch(b, f, width, width > 1.9f ? 3 : 2);
}

void furnish_armchair(Builder *b) {
  Frame f;
  if (!place_free(b, 1, 1, &f)) return;
  couch(b, frame_move(f, 0, 0, -0.45f, 0), draw(b, 0.75f, 0.95f), 1);
}

void furnish_coffee_table(Builder *b) {
  Frame f;
  float width = draw(b, 0.7f, 1.2f), depth = draw(b, 0.45f, 0.7f), high = draw(b, 0.36f, 0.48f);
  if (!place_free(b, width, depth, &f)) return;
  group_begin(b);
  if (chance(b, 0.25f)) {
    add_round(b, f, 0, high - 0.03f, 0, depth / 2 + 0.1f, depth / 2 + 0.1f, 0.03f, b->wood);
    add_round(b, f, 0, 0, 0, 0.04f, 0.04f, high - 0.03f, b->metal);
    add_round(b, f, 0, 0, 0, 0.2f, 0.2f, 0.02f, b->metal);
  } else {
    add_box(b, f, 0, high - 0.04f, 0, width, 0.04f, depth, b->wood);
    add_legs(b, f, width, depth, high - 0.04f, 0.05f, draw(b, 0.03f, 0.08f), chance(b, 0.3f) ? b->metal : b->wood);
    if (chance(b, 0.4f)) add_box(b, f, 0, 0.12f, 0, width - 0.1f, 0.02f, depth - 0.1f, b->wood);
  }
  group_end(b, true);
  add_clutter(b, f, high, width, depth, 5);
}

void furnish_dining(Builder *b) {
  Frame f;
  float width = draw(b, 1.0f, 1.9f), depth = draw(b, 0.75f, 1), high = draw(b, 0.72f, 0.77f);
  if (!place_free(b, width + 0.3f, depth + 0.7f, &f)) return;
  bool is_round = chance(b, 0.2f);
  group_begin(b);
  if (is_round) {
    add_round(b, f, 0, high - 0.035f, 0, depth * 0.6f, depth * 0.6f, 0.035f, b->wood);
    add_round(b, f, 0, 0, 0, 0.06f, 0.05f, high - 0.03f, b->wood);
    add_round(b, f, 0, 0, 0, 0.3f, 0.15f, 0.05f, b->wood);
  } else {
    add_box(b, f, 0, high - 0.035f, 0, width, 0.035f, depth, b->wood);
    add_box(b, f, 0, high - 0.11f, 0, width - 0.12f, 0.075f, depth - 0.12f, b->wood);
    add_legs(b, f, width, depth, high - 0.035f, 0.06f, draw(b, 0.05f, 0.09f), b->wood);
  }
  group_end(b, true);
  add_clutter(b, f, high, width, depth, 7);
  Material cushion = chance(b, 0.5f) ? b->wood : b->fabric2;
  int a_side = is_round ? 1 : width > 1.4f ? 2 : 1;
  for (int side = 0; side < 2; side++)
    for (int i = 0; i < a_side; i++) {
      if (chance(b, 0.12f)) continue;
      float x = a_side == 1 ? 0 : width * ((float)i - 0.5f) * 0.5f, out = depth / 2 + draw(b, -0.12f, 0.22f);
      seat(b, frame_move(f, x, 0, side ? -out : out, (side ? 0 : (float)M_PI) + draw(b, -0.25f, 0.25f)), b->wood2,
           cushion);
    }
}

void furnish_desk(Builder *b) {
  Frame f;
  float width = draw(b, 1.1f, 1.7f), depth = draw(b, 0.6f, 0.8f), high = 0.74f;
  if (!place_at_wall(b, width, depth + 0.5f, 1.15f, &f)) return;
  Frame middle = frame_move(f, 0, 0, depth / 2, 0);
  group_begin(b);
  add_box(b, middle, 0, high - 0.03f, 0, width, 0.03f, depth, b->wood);
  if (chance(b, 0.5f)) {
    add_legs(b, middle, width, depth, high - 0.03f, 0.04f, 0.045f, b->metal);
  } else {
    Material drawers = material_fronts(&b->wood, 1);
    add_box(b, middle, width / 2 - 0.22f, 0.02f, 0, 0.4f, high - 0.05f, depth - 0.04f, drawers);
    add_box(b, middle, -width / 2 + 0.03f, 0, 0, 0.03f, high - 0.03f, depth, b->wood);
  }
  group_end(b, true);
  Material black = material_plain(b, vec(0.025f, 0.025f, 0.028f), 0.3f);
  Material screen = material_make(b, TEXTURE_SCREEN, vec(0.01f, 0.012f, 0.016f), vec(0.05f, 0.09f, 0.16f), 1, 0.9f);
  if (chance(b, 0.4f)) screen.glow = draw(b, 1, 5);
  float x = draw(b, -0.25f, 0.25f);
  group_begin(b);
  if (chance(b, 0.7f)) {
    float wide = draw(b, 0.45f, 0.62f), tall = wide * 0.6f;
    add_box(b, middle, x, high, -0.08f, 0.22f, 0.015f, 0.18f, black);
    add_box(b, middle, x, high, -0.12f, 0.05f, 0.15f, 0.03f, black);
    add_box(b, middle, x, high + 0.12f, -0.09f, wide, tall, 0.03f, black);
    add_box(b, middle, x, high + 0.135f, -0.08f, wide - 0.03f, tall - 0.03f, 0.018f, screen);
    add_box(b, middle, x, high, 0.16f, 0.42f, 0.02f, 0.14f, chance(b, 0.5f) ? black : b->white);
  }
  group_end(b, true);
  add_clutter(b, middle, high, width, depth, 5);
  if (chance(b, 0.35f))
    add_lamp(b, frame_move(middle, -0.42f * width, 0, -0.15f, 0), high, 0.42f, 0.1f, chance(b, 0.5f));
  Frame chair =
      frame_move(middle, draw(b, -0.15f, 0.15f), 0, depth / 2 + draw(b, 0, 0.3f), (float)M_PI + draw(b, -0.6f, 0.6f));
  if (chance(b, 0.65f)) swivel_chair(b, chair);
  else seat(b, chair, b->wood2, b->fabric2);
}

void furnish_bed(Builder *b) {
  Frame f;
  float width = chance(b, 0.6f) ? draw(b, 1.4f, 1.85f) : draw(b, 0.9f, 1.1f), length = 2.05f,
        high = draw(b, 0.42f, 0.58f);
  if (!place_at_wall(b, width + (width > 1.3f ? 0.9f : 0.05f), length + 0.05f, 0.75f, &f)) return;
  Material sheet = chance(b, 0.5f) ? b->white : material_fabric(b), cover = b->fabric;
  sheet.texture = cover.texture = TEXTURE_FABRIC;
  float head = draw(b, 0.8f, 1.2f);
  group_begin(b);
  add_box(b, f, 0, 0, 0.03f, width + 0.06f, head, 0.06f, chance(b, 0.5f) ? b->wood : b->fabric2);
  add_box(b, f, 0, 0.1f, length / 2, width + 0.04f, high - 0.28f, length, b->wood);
  add_box(b, f, 0, high - 0.2f, length / 2 + 0.02f, width, 0.2f, length - 0.06f, sheet);
  float covered = length * draw(b, 0.55f, 0.75f);
  add_box(b, f, 0, high - 0.24f, length - covered / 2, width + 0.07f, 0.29f, covered + 0.03f, cover);
  if (chance(b, 0.5f)) add_box(b, f, 0, high - 0.22f, length - 0.3f, width + 0.09f, 0.3f, 0.5f, b->fabric2);
  for (int i = 0; i < 4; i++)
    add_box(b, f, (i & 1 ? 1.f : -1.f) * (width / 2 - 0.05f), 0, i & 2 ? 0.1f : length - 0.06f, 0.06f, 0.12f, 0.06f,
            b->wood);
  int n_pillows = width > 1.3f ? 2 : 1;
  for (int i = 0; i < n_pillows; i++)
    add_ball(b, f, n_pillows == 1 ? 0 : width * ((float)i - 0.5f) * 0.52f, high - 0.02f, 0.32f,
             fminf(0.72f, width * 0.47f), 0.2f, 0.46f, b->white);
  if (chance(b, 0.4f)) add_ball(b, f, draw(b, -0.3f, 0.3f), high, 0.55f, 0.45f, 0.24f, 0.3f, material_fabric(b));
  group_end(b, true);
  if (width < 1.3f) return;
  for (int side = -1; side <= 1; side += 2) {
    Frame stand = frame_move(f, (float)side * (width / 2 + 0.25f), 0, 0.2f, 0);
    group_begin(b);
    add_box(b, stand, 0, 0.08f, 0, 0.4f, 0.42f, 0.36f, material_fronts(&b->wood, 1));
    add_legs(b, stand, 0.38f, 0.34f, 0.08f, 0.03f, 0.04f, b->wood);
    group_end(b, true);
    if (chance(b, 0.6f)) add_lamp(b, stand, 0.5f, 0.42f, 0.13f, chance(b, 0.5f));
  }
}
