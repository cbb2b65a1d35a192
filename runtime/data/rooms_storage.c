// Furniture to keep things in, kitchens and baths, and what else stands about.
#include "runtime/data/rooms_scene.h"

static void books(Builder *b, Frame f, float y, float width, float height, float depth) {
  float x = -width / 2;
  while (x < width / 2 - 0.05f) {
    float w = draw(b, 0.025f, 0.075f), h = height * draw(b, 0.6f, 0.93f);
    if (chance(b, 0.12f)) {
      x += draw(b, 0.05f, 0.25f);
      continue;
    }
    if (x + w > width / 2) break;
    add_box(b, f, x + w / 2, y, 0.5f * depth, w - 0.004f, h, depth * draw(b, 0.6f, 0.85f), material_paint(b, 0.05f));
    x += w;
  }
}

void furnish_shelf(Builder *b) {
  Frame f;
  float width = draw(b, 0.6f, 1.5f), depth = draw(b, 0.26f, 0.36f),
        high = fminf(draw(b, 0.9f, 2.15f), b->scene->size.y - 0.1f);
  if (!place_at_wall(b, width, depth, high, &f)) return;
  int rows = (int)(high / 0.36f);
  float step = (high - 0.1f) / (float)rows;
  Material wood = b->wood2, inside = wood;
  inside.a = vec_scale(inside.a, 0.8f);
  group_begin(b);
  add_box(b, f, 0, 0, 0.01f, width, high, 0.015f, inside);
  for (int side = -1; side <= 1; side += 2)
    add_box(b, f, (float)side * (width / 2 - 0.011f), 0, depth / 2, 0.022f, high, depth, wood);
  for (int i = 0; i <= rows; i++)
    add_box(b, f, 0, 0.06f + step * (float)i, depth / 2, width - 0.04f, 0.024f, depth - 0.01f, wood);
  group_end(b, true);
  for (int i = 0; i < rows; i++) {
    float y = 0.084f + step * (float)i;
    group_begin(b);
    if (chance(b, 0.72f)) books(b, f, y, width - 0.06f, step - 0.03f, depth);
    else if (chance(b, 0.6f))
      for (int k = 0; k < 3; k++)
        add_round(b, f, draw(b, -0.4f, 0.4f) * width, y, depth * 0.55f, 0.05f, draw(b, 0.03f, 0.08f),
                  step * draw(b, 0.3f, 0.8f), material_paint(b, 0.3f));
    else
      add_box(b, f, draw(b, -0.2f, 0.2f) * width, y, depth * 0.5f, 0.32f, step * 0.7f, depth * 0.8f,
              material_paint(b, 0));
    group_end(b, true);
  }
}

void furnish_wardrobe(Builder *b) {
  Frame f;
  float width = draw(b, 0.9f, 2), high = fminf(draw(b, 1.8f, 2.3f), b->scene->size.y - 0.05f);
  if (!place_at_wall(b, width, 0.6f, high, &f)) return;
  int doors = (int)(width / 0.45f);
  group_begin(b);
  add_box(b, f, 0, 0, 0.29f, width - 0.03f, 0.08f, 0.5f, material_plain(b, vec(0.03f, 0.03f, 0.03f), 0));
  add_box(b, f, 0, 0.07f, 0.29f, width, high - 0.07f, 0.58f,
          material_fronts(chance(b, 0.35f) ? &b->white : &b->wood2, (float)doors));
  for (int i = 1; i < doors; i += 2)
    for (int side = -1; side <= 1; side += 2)
      add_box(b, f, width * ((float)i / (float)doors - 0.5f) + (float)side * 0.04f, high * 0.48f, 0.595f, 0.015f, 0.14f,
              0.025f, b->metal);
  group_end(b, true);
}

void furnish_dresser(Builder *b) {
  Frame f;
  float width = draw(b, 0.7f, 1.5f), high = draw(b, 0.65f, 1.05f), depth = draw(b, 0.36f, 0.46f);
  if (!place_at_wall(b, width, depth, high + 0.2f, &f)) return;
  int rows = 2 + pick(b, 3), across = width > 1 ? 2 : 1;
  float step = (high - 0.14f) / (float)rows, each = (width - 0.04f) / (float)across;
  group_begin(b);
  add_box(b, f, 0, 0.08f, depth / 2, width, high - 0.08f, depth - 0.02f, b->wood);
  add_box(b, f, 0, high, depth / 2, width + 0.03f, 0.025f, depth + 0.02f, b->wood);
  add_legs(b, frame_move(f, 0, 0, depth / 2, 0), width, depth, 0.08f, 0.04f, 0.05f, b->wood);
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < across; c++) {
      float x = -width / 2 + 0.02f + each * ((float)c + 0.5f), y = 0.12f + step * (float)r;
      Material front = b->wood;
      front.a = vec_scale(front.a, 1.1f);
      add_box(b, f, x, y, depth - 0.005f, each - 0.03f, step - 0.025f, 0.02f, front);
      add_ball(b, f, x, y + step * 0.4f, depth + 0.02f, 0.035f, 0.035f, 0.035f, b->metal);
    }
  group_end(b, true);
  Frame top = frame_move(f, 0, 0, depth / 2, 0);
  add_clutter(b, top, high + 0.025f, width, depth, 6);
  if (chance(b, 0.3f))
    add_lamp(b, frame_move(top, width * draw(b, -0.35f, 0.35f), 0, 0, 0), high + 0.025f, 0.45f, 0.13f, chance(b, 0.5f));
}

void furnish_television(Builder *b) {
  Frame f;
  float width = draw(b, 1.1f, 1.9f), high = draw(b, 0.4f, 0.6f), wide = draw(b, 0.8f, 1.3f), tall = wide * 0.58f;
  if (!place_at_wall(b, width, 0.45f, 1.3f, &f)) return;
  Material black = material_plain(b, vec(0.015f, 0.015f, 0.017f), 0.4f);
  Material screen = material_make(b, TEXTURE_SCREEN, vec(0.008f, 0.009f, 0.011f), vec(0.03f, 0.035f, 0.045f), 1, 1);
  group_begin(b);
  add_box(b, f, 0, 0.05f, 0.22f, width, high - 0.05f, 0.42f, material_fronts(&b->wood2, 3));
  add_box(b, f, 0, 0, 0.22f, width - 0.06f, 0.06f, 0.36f, black);
  group_end(b, true);
  group_begin(b);
  add_box(b, f, 0, high, 0.22f, 0.4f, 0.015f, 0.2f, black);
  add_box(b, f, 0, high, 0.2f, 0.08f, 0.08f, 0.03f, black);
  add_box(b, f, 0, high + 0.06f, 0.2f, wide, tall, 0.045f, black);
  add_box(b, f, 0, high + 0.075f, 0.21f, wide - 0.03f, tall - 0.03f, 0.035f, screen);
  group_end(b, true);
}

void furnish_floor_lamp(Builder *b) {
  Frame f;
  if (!place_at_wall(b, 0.5f, 0.5f, 1.6f, &f)) return;
  add_lamp(b, frame_move(f, 0, 0, 0.25f, 0), 0, draw(b, 1.4f, 1.75f), draw(b, 0.17f, 0.25f), chance(b, 0.6f));
}

void furnish_plant(Builder *b) {
  Frame f;
  if (!place_at_wall(b, 0.55f, 0.55f, 1.3f, &f)) return;
  f = frame_move(f, 0, 0, 0.28f, 0);
  float pot = draw(b, 0.12f, 0.2f), high = draw(b, 0.2f, 0.4f), crown = draw(b, 0.5f, 1.2f);
  Vec tone = colour_jitter(b, colour_srgb(0x3f6b2f), 0.35f);
  Material leaf = material_make(b, TEXTURE_LEAF, tone, tone, 1, 0),
           soil = material_plain(b, vec(0.03f, 0.02f, 0.015f), 0);
  group_begin(b);
  add_round(b, f, 0, 0, 0, pot * 0.75f, pot, high,
            chance(b, 0.5f) ? material_plain(b, colour_srgb(0xa85f3f), 0) : b->white);
  add_round(b, f, 0, high - 0.02f, 0, pot * 0.9f, pot * 0.9f, 0.03f, soil);
  add_round(b, f, 0, high, 0, 0.02f, 0.012f, crown * 0.7f, b->wood);
  int n = 9 + pick(b, 10);
  for (int i = 0; i < n; i++) {
    float turn = draw(b, 0, 6.283f), out = draw(b, 0.02f, 0.24f), y = high + crown * draw(b, 0.15f, 1);
    add_ball(b, frame_move(f, 0, 0, 0, turn), 0, y - 0.05f, out, draw(b, 0.08f, 0.16f), draw(b, 0.08f, 0.25f),
             draw(b, 0.16f, 0.34f), leaf);
  }
  group_end(b, true);
}

// A row of cupboards with a worktop; the upper cupboards above it.
static void cupboards(Builder *b, Frame f, float width, bool has_upper, bool has_hob) {
  Material front = material_fronts(chance(b, 0.5f) ? &b->white : &b->wood2, floorf(width / 0.5f));
  Material top = material_make(b, chance(b, 0.5f) ? TEXTURE_MARBLE : TEXTURE_WOOD, b->wood.a, b->wood.b, 1, 0.35f);
  if (top.texture == TEXTURE_MARBLE)
    top.a = colour_srgb(chance(b, 0.5f) ? 0xdedad2 : 0x3a3a3c), top.b = vec_scale(top.a, 0.6f);
  Material dark = material_plain(b, vec(0.03f, 0.03f, 0.03f), 0.3f);
  group_begin(b);
  add_box(b, f, 0, 0, 0.27f, width - 0.02f, 0.1f, 0.5f, dark);
  add_box(b, f, 0, 0.1f, 0.29f, width, 0.76f, 0.58f, front);
  add_box(b, f, 0, 0.86f, 0.305f, width + 0.02f, 0.04f, 0.63f, top);
  if (has_hob) {
    float x = width * draw(b, -0.3f, 0.3f);
    add_box(b, f, x, 0.9f, 0.3f, 0.56f, 0.008f, 0.5f, dark);
    add_box(b, f, x, 0.2f, 0.585f, 0.54f, 0.55f, 0.02f, dark);
    add_box(b, f, x, 0.78f, 0.61f, 0.44f, 0.02f, 0.03f, b->metal);
    if (chance(b, 0.6f)) add_round(b, f, x - 0.13f, 0.908f, 0.2f, 0.1f, 0.1f, 0.13f, b->metal);
    if (has_upper) add_box(b, f, x, 1.6f, 0.25f, 0.6f, 0.1f, 0.48f, b->metal);
  } else {
    float x = width * draw(b, -0.25f, 0.25f);
    add_box(b, f, x, 0.897f, 0.31f, 0.5f, 0.006f, 0.4f, b->metal);
    add_round(b, f, x, 0.9f, 0.08f, 0.015f, 0.012f, 0.28f, b->metal);
    add_box(b, f, x, 1.17f, 0.16f, 0.02f, 0.02f, 0.18f, b->metal);
  }
  group_end(b, true);
  if (has_upper) {
    group_begin(b);
    add_box(b, f, 0, 1.42f, 0.17f, width, fminf(0.7f, b->scene->size.y - 1.5f), 0.34f, front);
    group_end(b, true);
  }
  add_clutter(b, frame_move(f, 0, 0, 0.3f, 0), 0.9f, width, 0.5f, 8);
}

void furnish_kitchen(Builder *b) {
  Frame f;
  float width = draw(b, 1.6f, 3.2f), high = draw(b, 1.45f, 1.9f);
  bool is_tall = chance(b, 0.75f);
  if (!place_at_wall(b, width, 0.64f, is_tall ? 2.2f : 1, &f)) return;
  cupboards(b, f, width, is_tall, true);
  if (!place_at_wall(b, 0.65f, 0.66f, high, &f)) return;
  Material steel = chance(b, 0.5f) ? b->white : b->metal;
  group_begin(b);
  add_box(b, f, 0, 0.02f, 0.3f, 0.6f, high * 0.36f, 0.6f, steel);
  add_box(b, f, 0, 0.03f + high * 0.36f, 0.3f, 0.6f, high * 0.62f, 0.6f, steel);
  add_box(b, f, -0.25f, high * 0.5f, 0.62f, 0.02f, 0.35f, 0.03f, b->metal);
  group_end(b, true);
}

void furnish_counter(Builder *b) {
  Frame f;
  float width = draw(b, 0.7f, 1.6f);
  bool has_upper = chance(b, 0.3f);
  if (!place_at_wall(b, width, 0.64f, has_upper ? 2.2f : 1, &f)) return;
  cupboards(b, f, width, has_upper, false);
}

void furnish_boxes(Builder *b) {
  Frame f;
  if (!place_free(b, 0.6f, 0.5f, &f)) return;
  Material card = material_plain(b, colour_jitter(b, colour_srgb(0xb08858), 0.15f), 0);
  float y = 0;
  group_begin(b);
  for (int i = 0; i <= pick(b, 3); i++) {
    float high = draw(b, 0.18f, 0.4f);
    add_box(b, frame_move(f, draw(b, -0.05f, 0.05f), y, 0, draw(b, -0.3f, 0.3f)), 0, 0, 0, draw(b, 0.35f, 0.55f), high,
            draw(b, 0.3f, 0.42f), card);
    y += high;
  }
  group_end(b, true);
}

void furnish_bath(Builder *b) {
  Frame f;
  if (place_at_wall(b, 1.65f, 0.75f, 0.7f, &f)) {
    group_begin(b);
    add_box(b, f, 0, 0, 0.37f, 1.6f, 0.5f, 0.72f, b->white);
    for (int side = 0; side < 2; side++) add_box(b, f, 0, 0.5f, side ? 0.71f : 0.04f, 1.6f, 0.06f, 0.06f, b->white);
    for (int side = -1; side <= 1; side += 2)
      add_box(b, f, (float)side * 0.77f, 0.5f, 0.37f, 0.06f, 0.06f, 0.72f, b->white);
    add_round(b, f, -0.7f, 0.5f, 0.06f, 0.02f, 0.02f, 0.2f, b->metal);
    group_end(b, true);
  }
  if (place_at_wall(b, 0.5f, 0.7f, 0.9f, &f)) {
    group_begin(b);
    add_box(b, f, 0, 0.38f, 0.1f, 0.4f, 0.38f, 0.18f, b->white);
    add_round(b, f, 0, 0, 0.4f, 0.12f, 0.19f, 0.4f, b->white);
    add_round(b, f, 0, 0.4f, 0.4f, 0.2f, 0.2f, 0.035f, b->white);
    group_end(b, true);
  }
}
