// What is on and at the walls of a room: windows, doors, pictures, shelves, pillars; and the rug on the floor.
#include "runtime/data/rooms_scene.h"

static void curtain(Builder *b, Frame f, float x, float y, float width, float height, Material cloth) {
  int folds = (int)(width / 0.07f) + 2;
  for (int i = 0; i < folds; i++)
    add_round(b, f, x + width * (((float)i + 0.5f) / (float)folds - 0.5f), y, 0.05f, 0.042f + draw(b, 0, 0.012f), 0.04f,
              height, cloth);
}

void furnish_window(Builder *b) {
  Scene *scene = b->scene;
  float width = draw(b, 0.7f, 1.9f), sill = chance(b, 0.2f) ? 0.05f : draw(b, 0.75f, 1.1f);
  float height = fminf(draw(b, 0.9f, 1.5f) + (sill < 0.3f ? 0.7f : 0), scene->size.y - sill - 0.15f);
  Frame f;
  if (!place_on_wall(b, chance(b, 0.5f) ? 0 : 1 + pick(b, 2), width + 0.9f, sill - 0.05f, b->scene->size.y, &f)) return;
  float day = draw(b, 0.35f, 1.1f);
  Vec sky = colour_srgb(chance(b, 0.6f) ? 0xa8cdf0 : 0xd8e0e8);
  Material pane = material_make(b, TEXTURE_WINDOW, sky, sky, 1, 1);
  pane.glow = day * 1.5f;

  group_begin(b);
  add_box(b, f, 0, sill, 0.005f, width, height, 0.01f, pane);
  float bar = 0.045f;
  add_box(b, f, 0, sill - bar, 0.03f, width + 2 * bar, bar, 0.06f, b->white);
  add_box(b, f, 0, sill + height, 0.03f, width + 2 * bar, bar, 0.06f, b->white);
  for (int side = -1; side <= 1; side += 2)
    add_box(b, f, (float)side * (width + bar) / 2, sill, 0.03f, bar, height, 0.06f, b->white);
  int across = width > 1.1f ? 2 : 1, up = chance(b, 0.5f) ? 1 : 2;
  for (int i = 1; i <= across; i++)
    add_box(b, f, width * ((float)i / (float)(across + 1) - 0.5f), sill, 0.02f, bar * 0.8f, height, 0.04f, b->white);
  if (up == 2) add_box(b, f, 0, sill + height * 0.6f, 0.02f, width, bar * 0.8f, 0.04f, b->white);
  if (sill > 0.3f) add_box(b, f, 0, sill - bar - 0.03f, 0.08f, width + 0.2f, 0.03f, 0.16f, b->white);
  group_end(b, false);

  if (chance(b, 0.6f)) {
    Material cloth = chance(b, 0.5f) ? material_fabric(b) : b->fabric2;
    float bottom = chance(b, 0.6f) ? 0.03f : sill - 0.1f, top = fminf(sill + height + 0.12f, scene->size.y - 0.03f);
    float each = draw(b, 0.18f, 0.4f);
    group_begin(b);
    curtain(b, f, -width / 2 - 0.05f, bottom, each, top - bottom, cloth);
    curtain(b, f, width / 2 + 0.05f, bottom, each, top - bottom, cloth);
    add_box(b, f, 0, top, 0.05f, width + 2 * each, 0.03f, 0.03f, b->metal);
    group_end(b, true);
  }
  Frame middle = frame_move(f, 0, sill + height / 2, 0.06f, 0);
  Vec u = vec_scale(vec(f.cosine, 0, -f.sine), width / 2), normal = vec(f.sine, 0, f.cosine);
  Vec colour = vec_scale(vec_mix(sky, vec(1, 1, 1), 0.7f), day * width * height * 2.6f);
  add_light(b, (Light){LIGHT_PANEL, vec(middle.x, middle.y, middle.z), colour, 0, u, vec(0, height / 2, 0), normal});
  if (chance(b, 0.3f)) { // the sun shines in
    float turn = draw(b, -0.8f, 0.8f), rise = draw(b, 0.35f, 0.9f);
    Vec across_dir = vec(f.cosine, 0, -f.sine);
    Vec to_sun = vec_add(vec_scale(normal, -cosf(turn) * cosf(rise)), vec_scale(across_dir, sinf(turn) * cosf(rise)));
    to_sun.y = sinf(rise);
    add_light(b, (Light){LIGHT_SUN, vec(middle.x, middle.y, middle.z), vec(2.4f, 2.2f, 1.8f), 0, u,
                         vec(0, height / 2, 0), to_sun});
  }
}

void furnish_picture(Builder *b) {
  float width = draw(b, 0.25f, 1), height = draw(b, 0.25f, 0.75f), y = draw(b, 1.25f, 1.5f);
  if (y + height > b->scene->size.y - 0.1f) height = b->scene->size.y - 0.1f - y;
  Frame f;
  if (!place_on_wall(b, -1, width + 0.3f, y, y + height, &f)) return;
  Vec first = vec(draw(b, 0.1f, 0.9f), draw(b, 0.1f, 0.9f), draw(b, 0.1f, 0.9f));
  Material canvas = material_make(b, TEXTURE_PAINTING, first,
                                  vec(draw(b, 0.1f, 0.9f), draw(b, 0.3f, 0.9f), draw(b, 0.3f, 0.95f)), 1, 0.1f);
  Material frame = chance(b, 0.5f) ? b->wood : b->metal, mount = b->white;
  group_begin(b);
  add_box(b, f, 0, y, 0.012f, width, height, 0.024f, frame);
  float border = 0.03f;
  bool has_mount = chance(b, 0.4f);
  if (has_mount) add_box(b, f, 0, y + border, 0.014f, width - 2 * border, height - 2 * border, 0.026f, mount);
  if (has_mount) border += 0.06f;
  add_box(b, f, 0, y + border, 0.016f, width - 2 * border, height - 2 * border, 0.028f, canvas);
  group_end(b, false);
}

void furnish_door(Builder *b) {
  float width = draw(b, 0.75f, 0.95f), height = 2.02f;
  Frame f;
  if (!place_on_wall(b, -1, width + 0.2f, 0, height + 0.1f, &f)) return;
  Material leaf = chance(b, 0.6f) ? b->white : b->wood;
  leaf.texture = TEXTURE_PANELS;
  leaf.scale = chance(b, 0.5f) ? 1 : 2;
  group_begin(b);
  add_box(b, f, 0, 0.005f, 0.012f, width, height, 0.024f, leaf);
  for (int side = -1; side <= 1; side += 2)
    add_box(b, f, (float)side * (width / 2 + 0.04f), 0, 0.02f, 0.08f, height + 0.08f, 0.04f, b->white);
  add_box(b, f, 0, height, 0.02f, width, 0.08f, 0.04f, b->white);
  add_ball(b, f, (chance(b, 0.5f) ? 0.42f : -0.42f) * width, 1, 0.06f, 0.06f, 0.05f, 0.06f, b->metal);
  group_end(b, false);
}

void furnish_pillar(Builder *b) {
  Frame f;
  float width = draw(b, 0.3f, 1.1f), depth = draw(b, 0.25f, 0.8f);
  if (!place_at_wall(b, width, depth, b->scene->size.y, &f)) return;
  f = frame_move(f, 0, 0, -0.05f, 0);
  group_begin(b);
  add_box(b, f, 0, 0, depth / 2, width, b->scene->size.y, depth, b->scene->face[FACE_WALL]);
  group_end(b, true);
}

void furnish_wall_shelf(Builder *b) {
  float width = draw(b, 0.5f, 1.3f);
  Frame f;
  if (!place_on_wall(b, -1, width + 0.1f, 1.2f, b->scene->size.y, &f)) return;
  int boards = 1 + pick(b, 3);
  group_begin(b);
  for (int i = 0; i < boards; i++) {
    float y = 1.25f + 0.34f * (float)i;
    if (y > b->scene->size.y - 0.35f) break;
    add_box(b, f, 0, y, 0.11f, width, 0.025f, 0.22f, b->wood2);
    for (float x = -width / 2 + 0.05f; x < width / 2 - 0.06f;) {
      float w = draw(b, 0.025f, 0.06f);
      if (chance(b, 0.7f)) {
        Material cover = material_fabric(b);
        cover.texture = TEXTURE_PLAIN;
        add_box(b, f, x, y + 0.025f, 0.09f, w - 0.003f, draw(b, 0.16f, 0.26f), 0.16f, cover);
      } else {
        w = 0.13f;
        Material clay = material_fabric(b);
        clay.texture = TEXTURE_PLAIN;
        clay.shine = 0.4f;
        add_round(b, f, x + 0.04f, y + 0.025f, 0.1f, 0.035f, 0.05f, draw(b, 0.08f, 0.2f), clay);
      }
      x += w + (chance(b, 0.2f) ? draw(b, 0.02f, 0.25f) : 0);
    }
  }
  group_end(b, true);
}

void furnish_radiator(Builder *b) {
  Frame f;
  float width = draw(b, 0.6f, 1.2f);
  if (!place_at_wall(b, width, 0.12f, 0.7f, &f)) return;
  group_begin(b);
  int ribs = (int)(width / 0.06f);
  for (int i = 0; i < ribs; i++)
    add_box(b, f, width * (((float)i + 0.5f) / (float)ribs - 0.5f), 0.12f, 0.06f, 0.042f, 0.55f, 0.09f, b->white);
  add_box(b, f, 0, 0.16f, 0.06f, width, 0.04f, 0.04f, b->white);
  add_box(b, f, 0, 0.58f, 0.06f, width, 0.04f, 0.04f, b->white);
  group_end(b, true);
}

void furnish_rug(Builder *b) {
  const Scene *scene = b->scene;
  float width = fminf(draw(b, 1.2f, 2.6f), scene->size.x * 0.7f),
        depth = fminf(draw(b, 0.8f, 1.9f), scene->size.z * 0.6f);
  float x = scene->size.x * draw(b, 0.4f, 0.6f), z = scene->size.z * draw(b, 0.4f, 0.75f);
  Material pile = material_fabric(b);
  pile.texture = chance(b, 0.75f) ? TEXTURE_RUG : TEXTURE_CARPET;
  pile.b = material_fabric(b).a;
  group_begin(b);
  if (chance(b, 0.2f)) add_round(b, frame_at(x, 0, z, 0), 0, 0, 0, depth / 2, depth / 2, 0.012f, pile);
  else add_box(b, frame_at(x, 0, z, chance(b, 0.3f) ? draw(b, -0.4f, 0.4f) : 0), 0, 0, 0, width, 0.012f, depth, pile);
  group_end(b, false);
}
