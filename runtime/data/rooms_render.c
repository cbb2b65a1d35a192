// The picture and the depth of a room.
//
// First every pixel's nearest surface, tile by tile against the solids whose bounds touch the tile. Then, for each
// light, one jittered shadow ray a pixel: neighbours on the same surface hold the other points of the same pattern, so
// a 3x3 mean over them gives soft shadows. Then colours, with more rays through pixels where surfaces meet.
#include <stdlib.h>
#include <string.h>

#include "runtime/base/status.h"
#include "runtime/data/rooms_scene.h"

enum { TILE = 8, MAX_TILE_GROUPS = MAX_GROUPS };

// What the pixel's centre sees.
typedef struct Point {
  Vec at, normal;
  float z; // along the optical axis
  float u, v;
  int16_t solid, face;
} Point;

typedef struct Renderer {
  const Scene *scene;
  int width, height;
  RoomCamera camera;
  Vec right, down, forward;
  Point *point;
  float *lit;        // [n_lights][height][width] share of each light that arrives
  float *open;       // [height][width] share of the surroundings that is not blocked
  uint16_t *surface; // as in RoomView
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

// The rectangle that the corners of a solid's bounds project to; all of the picture if it reaches behind the camera.
static void find_bounds(Renderer *r) {
  const Scene *scene = r->scene;
  for (int i = 0; i < scene->n_solids; i++) {
    const Solid *s = &scene->solid[i];
    float wide = s->kind == SOLID_ROUND && s->taper > 1 ? s->taper : 1;
    struct Bound bound = {1e9f, 1e9f, -1e9f, -1e9f, 1e9f};
    bool is_behind = false, is_before = false;
    for (int k = 0; k < 8; k++) {
      Vec p = vec((k & 1 ? 1.f : -1.f) * s->half.x * wide, (k & 2 ? 1.f : -1.f) * s->half.y,
                  (k & 4 ? 1.f : -1.f) * s->half.z * wide);
      p = vec(s->cosine * p.x + s->sine * p.z, p.y, -s->sine * p.x + s->cosine * p.z);
      p = vec_sub(vec_add(p, s->centre), scene->eye);
      float z = vec_dot(p, r->forward);
      bound.z = fminf(bound.z, z);
      if (z < 0.05f) {
        is_behind = true;
        continue;
      }
      is_before = true;
      float x = r->camera.cx + r->camera.f * vec_dot(p, r->right) / z,
            y = r->camera.cy + r->camera.f * vec_dot(p, r->down) / z;
      bound.x0 = fminf(bound.x0, x);
      bound.x1 = fmaxf(bound.x1, x);
      bound.y0 = fminf(bound.y0, y);
      bound.y1 = fmaxf(bound.y1, y);
    }
    if (is_behind && is_before) bound = (struct Bound){-1e9f, -1e9f, 1e9f, 1e9f, fmaxf(bound.z, 0)};
    r->bound[i] = bound;
    int at = i;
    for (; at > 0 && r->bound[r->order[at - 1]].z > bound.z; at--) r->order[at] = r->order[at - 1];
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
static Hit trace(const Renderer *r, Vec direction) {
  const Scene *scene = r->scene;
  Hit hit = room_hit(scene, scene->eye, direction);
  for (int k = 0; k < r->n_candidates; k++) {
    int i = r->candidate[k];
    if (r->bound[i].z > hit.t) break;
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

static const Material *material_of(const Scene *scene, const Point *p) {
  return p->solid < 0 ? &scene->face[p->face] : &scene->solid[p->solid].material;
}

// ---- Light ----

// Point `k` of nine on a light, with some jitter; the three by three pattern of a pixel's place.
static Vec light_point(const Light *light, int k, float jitter_x, float jitter_y) {
  float u = ((float)(k % 3) + jitter_x) / 3 * 2 - 1, v = ((float)(k / 3) + jitter_y) / 3 * 2 - 1;
  if (light->kind == LIGHT_PANEL) return vec_add(light->at, vec_add(vec_scale(light->u, u), vec_scale(light->v, v)));
  return vec_add(light->at, vec_scale(vec(u, v * 0.5f, (u + v) * 0.5f), light->radius));
}

// The point that a shadow ray goes to; false if the light cannot reach the surface anyway.
static bool shadow_target(const Light *light, const Point *p, int k, float jitter_x, float jitter_y, Vec *out) {
  if (light->kind != LIGHT_SUN) {
    *out = light_point(light, k, jitter_x, jitter_y);
    return vec_dot(p->normal, vec_sub(*out, p->at)) > 0;
  }
  // The sun: through the window or not at all.
  Vec direction = light->normal, wall = vec(light->u.z, 0, -light->u.x);
  float towards = vec_dot(direction, wall);
  if (vec_dot(p->normal, direction) <= 0 || fabsf(towards) < 1e-4f) return false;
  float t = vec_dot(vec_sub(light->at, p->at), wall) / towards;
  if (t < 0.02f) return false;
  *out = vec_add(p->at, vec_scale(direction, t));
  Vec offset = vec_sub(*out, light->at);
  float u = vec_dot(offset, light->u) / vec_dot(light->u, light->u), v = offset.y / light->v.y;
  return fabsf(u) < 0.96f && fabsf(v) < 0.96f && fabsf(u) > 0.03f;
}

static bool segment_meets_box(Vec low, Vec high, Vec o, Vec d) {
  float near = 0, far = 1;
  float ix = 1 / d.x, iy = 1 / d.y, iz = 1 / d.z;
  float a = (low.x - o.x) * ix, b = (high.x - o.x) * ix;
  near = fmaxf(near, fminf(a, b));
  far = fminf(far, fmaxf(a, b));
  a = (low.y - o.y) * iy, b = (high.y - o.y) * iy;
  near = fmaxf(near, fminf(a, b));
  far = fminf(far, fmaxf(a, b));
  a = (low.z - o.z) * iz, b = (high.z - o.z) * iz;
  near = fmaxf(near, fminf(a, b));
  far = fminf(far, fmaxf(a, b));
  return near <= far;
}

// The groups that may stand between the points of a sphere and the light.
static int shadow_groups(const Scene *scene, const Light *light, Vec centre, float radius, int *out) {
  int n = 0;
  Vec to = light->kind == LIGHT_SUN ? vec_add(centre, vec_scale(light->normal, 12)) : light->at;
  float grown = light->kind == LIGHT_PANEL ? vec_length(light->u) + light->v.y : light->radius;
  float reach = fmaxf(radius, grown);
  Vec along = vec_sub(to, centre), margin = vec(reach, reach, reach);
  float length2 = vec_dot(along, along) + 1e-9f;
  for (int g = 0; g < scene->n_groups; g++) {
    const Group *group = &scene->group[g];
    if (!group->casts_shadow) continue;
    if (!segment_meets_box(vec_sub(group->low, margin), vec_add(group->high, margin), centre, along)) continue;
    // The sphere around the group against the cone from the points to the light.
    Vec middle = vec_scale(vec_add(group->low, group->high), 0.5f), offset = vec_sub(middle, centre);
    float t = clampf(vec_dot(offset, along) / length2, 0, 1);
    float limit = vec_length(vec_sub(group->high, middle)) + fmaxf(radius * (1 - t) + grown * t, radius * 0.5f);
    Vec gap = vec_sub(offset, vec_scale(along, t));
    if (vec_dot(gap, gap) < limit * limit) out[n++] = g;
  }
  return n;
}

static bool is_shadowed(const Scene *scene, const Point *p, Vec target, const int *groups, int n_groups) {
  Vec origin = vec_add(p->at, vec_scale(p->normal, 2e-3f)), direction = vec_sub(target, origin);
  for (int k = 0; k < n_groups; k++) {
    const Group *group = &scene->group[groups[k]];
    if (!segment_meets_box(group->low, group->high, origin, direction)) continue;
    for (int i = group->first; i < group->first + group->n; i++)
      if (i != p->solid && solid_blocks(&scene->solid[i], origin, direction)) return true;
  }
  return false;
}

// How open the surroundings of a point are: darker near the room's other faces and near things.
static float openness(const Scene *scene, const Point *p, const int *groups, int n_groups) {
  Vec s = scene->size, q = p->at, n = p->normal;
  float gaps[6] = {q.x, s.x - q.x, q.y, s.y - q.y, q.z, s.z - q.z};
  float facing[6] = {-n.x, n.x, -n.y, n.y, -n.z, n.z};
  float open = 1;
  for (int i = 0; i < 6; i++)
    if (facing[i] > -0.5f && gaps[i] < 1.4f)
      open *= 1 - 0.34f * (1 - fabsf(n.x * (i < 2) + n.y * (i / 2 == 1) + n.z * (i > 3)) * (facing[i] < 0)) *
                      expf(-fmaxf(gaps[i], 0) * 3.2f);
  int own = p->solid < 0 ? -1 : scene->solid[p->solid].group;
  for (int k = 0; k < n_groups; k++) {
    if (groups[k] == own) continue;
    const Group *g = &scene->group[groups[k]];
    Vec to = vec(clampf(q.x, g->low.x, g->high.x) - q.x, clampf(q.y, g->low.y, g->high.y) - q.y,
                 clampf(q.z, g->low.z, g->high.z) - q.z);
    float distance = vec_length(to);
    if (distance > 0.6f) continue;
    float side = distance < 1e-4f ? 1 : clampf(0.35f + vec_dot(to, n) / distance, 0, 1);
    open *= 1 - 0.5f * side * expf(-distance * 7);
  }
  return open;
}

// The groups within reach of the sphere.
static int near_groups(const Scene *scene, Vec centre, float radius, int *out) {
  int n = 0;
  for (int g = 0; g < scene->n_groups; g++) {
    const Group *group = &scene->group[g];
    if (!group->casts_shadow) continue;
    float dx = clampf(centre.x, group->low.x, group->high.x) - centre.x,
          dy = clampf(centre.y, group->low.y, group->high.y) - centre.y,
          dz = clampf(centre.z, group->low.z, group->high.z) - centre.z, reach = radius + 0.6f;
    if (dx * dx + dy * dy + dz * dz < reach * reach) out[n++] = g;
  }
  return n;
}

static void light_tile(Renderer *r, int x0, int y0, int x1, int y1) {
  const Scene *scene = r->scene;
  Vec low = vec(1e9f, 1e9f, 1e9f), high = vec(-1e9f, -1e9f, -1e9f);
  for (int y = y0; y < y1; y++)
    for (int x = x0; x < x1; x++) {
      Vec p = r->point[(size_t)y * (size_t)r->width + (size_t)x].at;
      low = vec(fminf(low.x, p.x), fminf(low.y, p.y), fminf(low.z, p.z));
      high = vec(fmaxf(high.x, p.x), fmaxf(high.y, p.y), fmaxf(high.z, p.z));
    }
  Vec centre = vec_scale(vec_add(low, high), 0.5f);
  float radius = vec_length(vec_sub(high, centre));
  int groups[MAX_TILE_GROUPS];
  int n = near_groups(scene, centre, radius, groups);
  for (int y = y0; y < y1; y++)
    for (int x = x0; x < x1; x++) {
      size_t i = (size_t)y * (size_t)r->width + (size_t)x;
      r->open[i] = openness(scene, &r->point[i], groups, n);
    }
  for (int l = 0; l < scene->n_lights; l++) {
    n = shadow_groups(scene, &scene->light[l], centre, radius, groups);
    float *lit = r->lit + (size_t)l * (size_t)r->width * (size_t)r->height;
    for (int y = y0; y < y1; y++)
      for (int x = x0; x < x1; x++) {
        size_t i = (size_t)y * (size_t)r->width + (size_t)x;
        Vec target;
        float jitter_x = lattice(x, y, scene->seed + (uint32_t)l),
              jitter_y = lattice(y, x, scene->seed ^ (uint32_t)l * 77);
        lit[i] = shadow_target(&scene->light[l], &r->point[i], x % 3 + y % 3 * 3, jitter_x, jitter_y, &target) &&
                 !is_shadowed(scene, &r->point[i], target, groups, n);
      }
  }
}

// The mean over the 3x3 neighbours on the same surface.
static void soften(Renderer *r, float *scratch) {
  size_t n = (size_t)r->width * (size_t)r->height;
  for (int l = 0; l < r->scene->n_lights; l++) {
    float *lit = r->lit + (size_t)l * n;
    for (int y = 0; y < r->height; y++)
      for (int x = 0; x < r->width; x++) {
        size_t i = (size_t)y * (size_t)r->width + (size_t)x;
        float sum = 0;
        int count = 0;
        for (int v = y > 0 ? y - 1 : 0; v <= y + 1 && v < r->height; v++)
          for (int u = x > 0 ? x - 1 : 0; u <= x + 1 && u < r->width; u++) {
            size_t j = (size_t)v * (size_t)r->width + (size_t)u;
            if (r->surface[j] != r->surface[i]) continue;
            sum += lit[j];
            count++;
          }
        scratch[i] = sum / (float)count;
      }
    memcpy(lit, scratch, n * sizeof *lit);
  }
}

// ---- Colour ----

static Vec shade(const Renderer *r, const Point *p, const float *lit, size_t stride, float open) {
  const Scene *scene = r->scene;
  const Material *m = material_of(scene, p);
  Vec view = vec_sub(scene->eye, p->at);
  float distance = vec_length(view);
  view = vec_scale(view, 1 / distance);
  float facing = fmaxf(vec_dot(view, p->normal), 0.15f), footprint = p->z / (r->camera.f * sqrtf(facing));
  Vec colour = texture_colour(m, p->u, p->v, footprint);
  if (m->glow > 0) return vec_scale(colour, m->glow);

  // From above comes the light of the ceiling, from below what the floor throws back.
  Vec floor = scene->face[FACE_FLOOR].a;
  Vec around =
      vec_mix(vec_scale(vec_mix(vec(1, 1, 1), floor, 0.6f), 0.75f), vec(1.1f, 1.1f, 1.1f), 0.5f + 0.5f * p->normal.y);
  Vec sum = vec_scale(vec_mul(scene->ambient, around), open), highlight = vec(0, 0, 0);
  for (int l = 0; l < scene->n_lights; l++) {
    const Light *light = &scene->light[l];
    float share = lit[(size_t)l * stride];
    if (share == 0) continue;
    Vec to = light->kind == LIGHT_SUN ? light->normal : vec_sub(light->at, p->at);
    float d2 = vec_dot(to, to), inverse = 1 / sqrtf(d2);
    to = vec_scale(to, inverse);
    float strength = light->kind == LIGHT_SUN ? 1 : 1 / (d2 + 0.3f);
    if (light->kind == LIGHT_PANEL) strength *= fmaxf(-vec_dot(to, light->normal), 0.05f);
    float cosine = vec_dot(p->normal, to);
    if (light->kind == LIGHT_PANEL) cosine = (cosine + 0.25f) / 1.25f; // an extended light reaches round
    strength *= share * (0.4f + 0.6f * open);
    if (cosine > 0) sum = vec_add(sum, vec_scale(light->colour, strength * cosine));
    if (m->shine > 0) {
      Vec half = vec_add(to, view);
      float h = vec_dot(half, p->normal) / vec_length(half);
      float power = h * h;
      power *= power;
      power *= power;
      power *= power;
      power *= power; // h^32
      highlight = vec_add(highlight, vec_scale(light->colour, strength * m->shine * power * 0.6f));
    }
  }
  return vec_add(vec_mul(colour, sum), highlight);
}

// Of the pixel and its neighbours, the one that shows the same surface: its shadows stand for those of a ray between.
static size_t donor(const Renderer *r, int x, int y, uint16_t surface) {
  size_t here = (size_t)y * (size_t)r->width + (size_t)x;
  if (r->surface[here] == surface) return here;
  for (int v = y > 0 ? y - 1 : 0; v <= y + 1 && v < r->height; v++)
    for (int u = x > 0 ? x - 1 : 0; u <= x + 1 && u < r->width; u++) {
      size_t j = (size_t)v * (size_t)r->width + (size_t)u;
      if (r->surface[j] == surface) return j;
    }
  return here;
}

static bool is_edge(const Renderer *r, int x, int y) {
  size_t i = (size_t)y * (size_t)r->width + (size_t)x;
  uint16_t s = r->surface[i];
  return (x > 0 && r->surface[i - 1] != s) || (x + 1 < r->width && r->surface[i + 1] != s) ||
         (y > 0 && r->surface[i - (size_t)r->width] != s) ||
         (y + 1 < r->height && r->surface[i + (size_t)r->width] != s);
}

static Vec compress(Vec c) { // soft shoulder, so that windows are bright and not flat white
  return vec(c.x / (0.75f + 0.35f * c.x), c.y / (0.75f + 0.35f * c.y), c.z / (0.75f + 0.35f * c.z));
}

static Vec pixel_colour(const Renderer *r, int x, int y) {
  size_t i = (size_t)y * (size_t)r->width + (size_t)x, n = (size_t)r->width * (size_t)r->height;
  float exposure = r->scene->exposure;
  Vec sum = compress(vec_scale(shade(r, &r->point[i], r->lit + i, n, r->open[i]), exposure));
  if (!is_edge(r, x, y)) return sum;
  static const float offsets[4][2] = {{-0.125f, -0.375f}, {0.375f, -0.125f}, {0.125f, 0.375f}, {-0.375f, 0.125f}};
  for (int k = 0; k < 4; k++) {
    Vec direction = pixel_ray(r, (float)x + 0.5f + offsets[k][0], (float)y + 0.5f + offsets[k][1]);
    Hit hit = trace(r, direction);
    Point p = point_of(r, hit, direction);
    size_t from = donor(r, x, y, surface_number(hit));
    sum = vec_add(sum, compress(vec_scale(shade(r, &p, r->lit + from, n, r->open[from]), exposure)));
  }
  return vec_scale(sum, 0.2f);
}

// Roughly normal, mean 0 and deviation 1.
static float grain(int x, int y, uint32_t seed) {
  return (lattice(x, y, seed) + lattice(y, x, seed ^ 0x51ed) + lattice(x + 7, y, seed ^ 0x9e1) - 1.5f) * 2;
}

static uint8_t to_byte(float value, const uint8_t *gamma) { return gamma[(int)(clampf(value, 0, 1) * 4095)]; }

static void finish_pixel(const Renderer *r, int x, int y, Vec c, const uint8_t *gamma, uint8_t *out) {
  const Scene *scene = r->scene;
  float dx = ((float)x + 0.5f) / (float)r->width - 0.5f, dy = ((float)y + 0.5f) / (float)r->height - 0.5f;
  float dim = 1 - scene->vignette * 2 * (dx * dx + dy * dy);
  c = vec_scale(vec_mul(c, scene->tint), dim);
  float noise = scene->noise;
  out[0] = to_byte(c.x + noise * sqrtf(c.x + 0.02f) * grain(x, y, scene->seed), gamma);
  out[1] = to_byte(c.y + noise * sqrtf(c.y + 0.02f) * grain(x, y, scene->seed + 1), gamma);
  out[2] = to_byte(c.z + noise * sqrtf(c.z + 0.02f) * grain(x, y, scene->seed + 2), gamma);
}

// ---- Depth ----

// What a structured-light sensor reports: noise that grows with the square of the distance, and nothing in the shadow
// of its projector (7.5 cm to the right), on dark or shiny things in patches, at grazing angles, and far away.
static void sense_depth(const Renderer *r, DepthMap *out) {
  const Scene *scene = r->scene;
  const float baseline = 0.075f;
  float cell = fmaxf((float)r->width / 26, 2);
  for (int y = 0; y < r->height; y++) {
    float reach = -1e9f; // in columns: how far left the shadows of nearer things to the right extend
    for (int x = r->width - 1; x >= 0; x--) {
      size_t i = (size_t)y * (size_t)r->width + (size_t)x;
      const Point *p = &r->point[i];
      const Material *m = material_of(scene, p);
      float disparity = r->camera.f * baseline / p->z, z = p->z;
      reach = fmaxf(reach - 1, disparity);
      bool is_hole = reach > disparity + 0.35f;
      float patch = smooth_noise((float)x / cell, (float)y / cell, scene->seed ^ 0xd0),
            light = (m->a.x + m->a.y + m->a.z) / 3;
      if (m->glow > 0) is_hole |= patch < 0.8f;
      if (m->shine > 0.8f) is_hole |= patch < 0.72f;
      if (m->shine > 0.5f) is_hole |= patch < 0.35f;
      if (light < 0.03f) is_hole |= patch < 0.42f;
      Vec to = vec_sub(scene->eye, p->at);
      if (vec_dot(to, p->normal) < 0.06f * vec_length(to)) is_hole = true;
      if (z > 6.5f) is_hole |= patch < (z - 6.5f) * 0.16f;
      if (z > ROOM_FAR - 0.02f) is_hole = true;
      z += 0.0013f * z * z * grain(x, y, scene->seed ^ 0x77);
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
          Hit hit = trace(r, direction);
          r->point[i] = point_of(r, hit, direction);
          r->surface[i] = surface_number(hit);
        }
      light_tile(r, tx, ty, x1, y1);
    }
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
  r->point = take(n, sizeof *r->point);
  r->lit = take(n * (size_t)(scene->n_lights + 1), sizeof *r->lit);
  r->open = take(n, sizeof *r->open);
  r->surface = out->surface;

  set_camera(r);
  find_bounds(r);
  see(r);
  soften(r, out->exact);
  paint(r, &out->picture);
  for (size_t i = 0; i < n; i++) out->exact[i] = r->point[i].z;
  sense_depth(r, &out->depth);
  out->camera = r->camera;
  free(r->point);
  free(r->lit);
  free(r->open);
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
