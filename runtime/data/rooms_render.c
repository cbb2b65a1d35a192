// The picture and the depth of a room.
//
// First every pixel's nearest surface, tile by tile against the solids whose bounds touch the tile. Then the light, one
// ray to each lamp from every other pixel, which neighbours on the same surface share. Then colours, with more rays
// through pixels where surfaces meet.
#include <stdlib.h>
#include <string.h>

#include "runtime/base/status.h"
#include "runtime/data/rooms_scene.h"

enum { TILE = 8 };

typedef struct Renderer {
  const Scene *scene;
  int width, height;
  RoomCamera camera;
  Vec right, down, forward;
  Pixels pixels;
  float exposure;
  // Tile of the moment.
  int candidate[MAX_SOLIDS], n_candidates;
  // Of each solid: its rectangle on the picture and nearest z.
  struct Bound {
    float x0, y0, x1, y1, z;
  } bound[MAX_SOLIDS];
  int order[MAX_SOLIDS]; // by nearest z
} Renderer;

static uint16_t surface_number(Hit hit) {
  return (uint16_t)(hit.solid < 0 ? hit.face : N_ROOM_FACES + 6 * hit.solid + hit.face);
}

static Vec pixel_ray(const Renderer *r, float x, float y) {
  float u = (x - r->camera.cx) / r->camera.f, v = (y - r->camera.cy) / r->camera.f;
  return vec_add(r->forward, vec_add(vec_scale(r->right, u), vec_scale(r->down, v)));
}

static void set_camera(Renderer *r) {
  const Scene *s = r->scene;
  float cy = cosf(s->yaw), sy = sinf(s->yaw), cp = cosf(s->pitch), sp = sinf(s->pitch);
  r->right = vec(cy, 0, -sy);
  r->forward = vec(sy * cp, -sp, cy * cp);
  r->down = vec(-sy * sp, -cp, -cy * sp);
  r->camera = (RoomCamera){s->focal * (float)r->width, (float)r->width / 2, (float)r->height / 2, s->eye.y, s->pitch};
}

// Widens the rectangle to hold the projection of a point in camera axes.
static void bound_add(struct Bound *bound, const RoomCamera *camera, Vec p) {
  float x = camera->cx + camera->f * p.x / p.z, y = camera->cy + camera->f * p.y / p.z;
  bound->x0 = minf(bound->x0, x);
  bound->x1 = maxf(bound->x1, x);
  bound->y0 = minf(bound->y0, y);
  bound->y1 = maxf(bound->y1, y);
}

// The rectangle of a solid's box, cut off just before the camera: its corners there, and where its edges pass through.
static struct Bound bound_of(const Renderer *r, const Solid *s) {
  const float near = 0.02f;
  float wide = s->kind == SOLID_ROUND && s->taper > 1 ? s->taper : 1;
  struct Bound bound = {1e9f, 1e9f, -1e9f, -1e9f, 1e9f};
  Vec corner[8];
  for (int k = 0; k < 8; k++) {
    Vec p = vec((k & 1 ? 1.f : -1.f) * s->half.x * wide, (k & 2 ? 1.f : -1.f) * s->half.y,
                (k & 4 ? 1.f : -1.f) * s->half.z * wide);
    p = vec(s->cosine * p.x + s->sine * p.z, p.y, -s->sine * p.x + s->cosine * p.z);
    p = vec_sub(vec_add(p, s->centre), r->scene->eye);
    corner[k] = vec(vec_dot(p, r->right), vec_dot(p, r->down), vec_dot(p, r->forward));
    bound.z = minf(bound.z, corner[k].z);
    if (corner[k].z >= near) bound_add(&bound, &r->camera, corner[k]);
  }
  for (int k = 0; k < 8; k++)
    for (int axis = 1; axis < 8; axis *= 2) {
      Vec a = corner[k], b = corner[k | axis];
      if (k & axis || (a.z >= near) == (b.z >= near)) continue;
      bound_add(&bound, &r->camera, vec_mix(a, b, (near - a.z) / (b.z - a.z)));
    }
  return bound;
}

static void find_bounds(Renderer *r) {
  for (int i = 0; i < r->scene->n_solids; i++) {
    r->bound[i] = bound_of(r, &r->scene->solid[i]);
    int at = i;
    for (; at > 0 && r->bound[r->order[at - 1]].z > r->bound[i].z; at--) r->order[at] = r->order[at - 1];
    r->order[at] = i;
  }
}

static void find_candidates(Renderer *r, int x, int y) {
  r->n_candidates = 0;
  float x0 = (float)x - 1, y0 = (float)y - 1, x1 = (float)(x + TILE) + 1, y1 = (float)(y + TILE) + 1;
  for (int k = 0; k < r->scene->n_solids; k++) {
    const struct Bound *b = &r->bound[r->order[k]];
    if (b->x0 < x1 && b->x1 > x0 && b->y0 < y1 && b->y1 > y0) r->candidate[r->n_candidates++] = r->order[k];
  }
}

// The nearest surface along a ray whose direction has z 1, so that t is the depth.
static Hit trace(const Renderer *r, float x, float y, Vec direction) {
  const Scene *scene = r->scene;
  Hit hit = room_hit(scene, scene->eye, direction);
  for (int k = 0; k < r->n_candidates; k++) {
    int i = r->candidate[k];
    const struct Bound *b = &r->bound[i];
    if (b->z > hit.t) break;
    if (x < b->x0 || x > b->x1 || y < b->y0 || y > b->y1) continue;
    if (solid_hit(&scene->solid[i], scene->eye, direction, &hit)) hit.solid = i;
  }
  return hit;
}

static Point point_of(const Renderer *r, Hit hit, Vec direction) {
  Point p = {.at = vec_add(r->scene->eye, vec_scale(direction, hit.t)),
             .z = hit.t,
             .solid = (int16_t)hit.solid,
             .face = (int16_t)hit.face};
  hit_surface(r->scene, hit, p.at, &p.normal, &p.u, &p.v);
  return p;
}

// ---- Colour ----

// Of the pixel and its neighbours, the one that shows the same surface: its shadows stand for those of a ray between.
static size_t donor(const Renderer *r, int x, int y, uint16_t surface) {
  size_t here = (size_t)y * (size_t)r->width + (size_t)x;
  if (r->pixels.surface[here] == surface) return here;
  for (int v = y > 0 ? y - 1 : 0; v <= y + 1 && v < r->height; v++)
    for (int u = x > 0 ? x - 1 : 0; u <= x + 1 && u < r->width; u++) {
      size_t j = (size_t)v * (size_t)r->width + (size_t)u;
      if (r->pixels.surface[j] == surface) return j;
    }
  return here;
}

static bool is_edge(const Renderer *r, int x, int y) {
  size_t i = (size_t)y * (size_t)r->width + (size_t)x;
  uint16_t s = r->pixels.surface[i];
  return (x > 0 && r->pixels.surface[i - 1] != s) || (x + 1 < r->width && r->pixels.surface[i + 1] != s) ||
         (y > 0 && r->pixels.surface[i - (size_t)r->width] != s) ||
         (y + 1 < r->height && r->pixels.surface[i + (size_t)r->width] != s);
}

static Vec compress(Vec c) { // soft shoulder, so that windows are bright and not flat white
  return vec(c.x / (0.75f + 0.35f * c.x), c.y / (0.75f + 0.35f * c.y), c.z / (0.75f + 0.35f * c.z));
}

// As a camera does: the mean of a coarse grid of pixels is brought to a medium gray, within limits.
static float find_exposure(const Renderer *r) {
  const Pixels *pixels = &r->pixels;
  float sum = 0;
  int n = 0;
  for (int y = TILE / 2; y < r->height; y += TILE)
    for (int x = TILE / 2; x < r->width; x += TILE, n++) {
      size_t i = (size_t)y * (size_t)r->width + (size_t)x;
      Vec c = light_shade(r->scene, &pixels->point[i], r->camera.f, pixels->lit[i], pixels->open[i]);
      sum += minf((c.x + c.y + c.z) / 3, 1);
    }
  return r->scene->exposure * clampf(0.27f * (float)n / (sum + 1e-3f), 0.6f, 2.5f);
}

static Vec pixel_colour(const Renderer *r, int x, int y) {
  const Pixels *pixels = &r->pixels;
  size_t i = (size_t)y * (size_t)r->width + (size_t)x;
  float exposure = r->exposure, focal = r->camera.f;
  Vec sum =
      compress(vec_scale(light_shade(r->scene, &pixels->point[i], focal, pixels->lit[i], pixels->open[i]), exposure));
  if (!is_edge(r, x, y)) return sum;
  static const float offsets[][2] = {{-0.25f, -0.3f}, {0.33f, -0.1f}, {-0.1f, 0.33f}};
  enum { N_OFFSETS = sizeof offsets / sizeof *offsets };
  for (int k = 0; k < N_OFFSETS; k++) {
    float at_x = (float)x + 0.5f + offsets[k][0], at_y = (float)y + 0.5f + offsets[k][1];
    Vec direction = pixel_ray(r, at_x, at_y);
    Hit hit = trace(r, at_x, at_y, direction);
    Point p = point_of(r, hit, direction);
    size_t from = donor(r, x, y, surface_number(hit));
    sum = vec_add(
        sum, compress(vec_scale(light_shade(r->scene, &p, focal, pixels->lit[from], pixels->open[from]), exposure)));
  }
  return vec_scale(sum, 1.f / (N_OFFSETS + 1));
}

// A triangular random number of mean 0 and deviation 1 from two bytes.
static float grain(uint32_t a, uint32_t b) { return ((float)((a & 255) + (b & 255)) - 255) * (1 / 104.5f); }

static uint8_t to_byte(float value, const uint8_t *gamma) { return gamma[(int)(clampf(value, 0, 1) * 4095)]; }

static void finish_pixel(const Renderer *r, int x, int y, Vec c, const uint8_t *gamma, uint8_t *out) {
  const Scene *scene = r->scene;
  float dx = ((float)x + 0.5f) / (float)r->width - 0.5f, dy = ((float)y + 0.5f) / (float)r->height - 0.5f;
  float dim = 1 - scene->vignette * 2 * (dx * dx + dy * dy);
  c = vec_scale(vec_mul(c, scene->tint), dim);
  float noise = scene->noise;
  uint32_t bits = lattice_bits(x, y, scene->seed);
  out[0] = to_byte(c.x + noise * sqrtf(c.x + 0.004f) * grain(bits, bits >> 8), gamma);
  out[1] = to_byte(c.y + noise * sqrtf(c.y + 0.004f) * grain(bits >> 16, bits >> 24), gamma);
  out[2] = to_byte(c.z + noise * sqrtf(c.z + 0.004f) * grain(bits >> 4, bits >> 20), gamma);
}

// ---- Depth ----

// What a structured-light sensor reports: noise that grows with the square of the distance, and nothing in the shadow
// of its projector (7.5 cm to the right), on dark or shiny things in patches, at grazing angles, and far away.
static void sense_depth(const Renderer *r, DepthMap *out) {
  const Scene *scene = r->scene;
  const float baseline = 0.075f;
  float cell = maxf((float)r->width / 26, 2);
  for (int y = 0; y < r->height; y++) {
    float reach = -1e9f; // in columns: how far left the shadows of nearer things to the right extend
    for (int x = r->width - 1; x >= 0; x--) {
      size_t i = (size_t)y * (size_t)r->width + (size_t)x;
      const Point *p = &r->pixels.point[i];
      const Material *m = point_material(scene, p);
      float disparity = r->camera.f * baseline / p->z, z = p->z;
      reach = maxf(reach - 1, disparity);
      bool is_hole = reach > disparity + 0.35f;
      float patch = smooth_noise((float)x / cell, (float)y / cell, scene->seed ^ 0xd0),
            light = (m->a.x + m->a.y + m->a.z) / 3;
      if (m->glow > 0) is_hole |= patch < 0.8f;
      if (m->shine > 0.8f) is_hole |= patch < 0.72f;
      if (m->shine > 0.5f) is_hole |= patch < 0.35f;
      if (light < 0.025f) is_hole |= patch < 0.33f;
      Vec to = vec_sub(scene->eye, p->at);
      if (vec_dot(to, p->normal) < 0.06f * vec_length(to)) is_hole = true;
      if (z > 6.5f) is_hole |= patch < (z - 6.5f) * 0.16f;
      if (z > ROOM_FAR - 0.02f) is_hole = true;
      uint32_t bits = lattice_bits(x, y, scene->seed ^ 0x77);
      z += 0.0013f * z * z * grain(bits, bits >> 16);
      out->metres[i] = is_hole ? 0 : clampf(roundf(z * 1000) / 1000, 0.05f, ROOM_FAR - 0.001f);
    }
  }
}

// ---- All of it ----

static void *take(size_t n, size_t size) {
  void *out = calloc(n, size);
  if (!out) BUG("out of memory for a room");
  return out;
}

static void see(Renderer *r) {
  for (int ty = 0; ty < r->height; ty += TILE)
    for (int tx = 0; tx < r->width; tx += TILE) {
      int y1 = ty + TILE < r->height ? ty + TILE : r->height, x1 = tx + TILE < r->width ? tx + TILE : r->width;
      find_candidates(r, tx, ty);
      for (int y = ty; y < y1; y++)
        for (int x = tx; x < x1; x++) {
          size_t i = (size_t)y * (size_t)r->width + (size_t)x;
          Vec direction = pixel_ray(r, (float)x + 0.5f, (float)y + 0.5f);
          Hit hit = trace(r, (float)x + 0.5f, (float)y + 0.5f, direction);
          r->pixels.point[i] = point_of(r, hit, direction);
          r->pixels.surface[i] = surface_number(hit);
        }
    }
  for (int ty = 0; ty < r->height; ty += TILE)
    for (int tx = 0; tx < r->width; tx += TILE)
      light_tile(r->scene, &r->pixels, tx, ty, tx + TILE < r->width ? tx + TILE : r->width,
                 ty + TILE < r->height ? ty + TILE : r->height);
  light_soften(&r->pixels);
}

static void paint(Renderer *r, Image *out) {
  uint8_t gamma[4096];
  for (int i = 0; i < 4096; i++) gamma[i] = (uint8_t)(powf((float)i / 4095, 1 / 2.2f) * 255 + 0.5f);
  for (int ty = 0; ty < r->height; ty += TILE)
    for (int tx = 0; tx < r->width; tx += TILE) {
      find_candidates(r, tx, ty);
      for (int y = ty; y < ty + TILE && y < r->height; y++)
        for (int x = tx; x < tx + TILE && x < r->width; x++)
          finish_pixel(r, x, y, pixel_colour(r, x, y), gamma,
                       out->rgb + 3 * ((size_t)y * (size_t)r->width + (size_t)x));
    }
}

void room_render(uint64_t seed, uint64_t index, int width, int height, RoomView *out) {
  size_t n = (size_t)width * (size_t)height;
  Scene *scene = take(1, sizeof *scene);
  Renderer *r = take(1, sizeof *r);
  scene_build(seed, index, scene);
  *out = (RoomView){0};
  image_alloc(&out->picture, width, height);
  depth_alloc(&out->depth, width, height);
  out->surface = take(n, sizeof *out->surface);
  out->exact = take(n, sizeof *out->exact);
  r->scene = scene;
  r->width = width;
  r->height = height;
  set_camera(r);
  Pixels *pixels = &r->pixels;
  *pixels = (Pixels){.width = width, .height = height, .focal = r->camera.f, .surface = out->surface};
  pixels->point = take(n, sizeof *pixels->point);
  pixels->lit = aligned_alloc(sizeof(Lit), n * sizeof(Lit));
  pixels->scratch = aligned_alloc(sizeof(Lit), 2 * (size_t)width * sizeof(Lit));
  if (!pixels->lit || !pixels->scratch) BUG("out of memory for a room");
  pixels->open = take(n, sizeof *pixels->open);

  find_bounds(r);
  see(r);
  r->exposure = find_exposure(r);
  paint(r, &out->picture);
  for (size_t i = 0; i < n; i++) out->exact[i] = r->pixels.point[i].z;
  sense_depth(r, &out->depth);
  out->camera = r->camera;
  free(r->pixels.point);
  free(r->pixels.lit);
  free(r->pixels.scratch);
  free(r->pixels.open);
  free(r);
  free(scene);
}

void room_free(RoomView *view) {
  image_free(&view->picture);
  depth_free(&view->depth);
  free(view->surface);
  free(view->exact);
  *view = (RoomView){0};
}
