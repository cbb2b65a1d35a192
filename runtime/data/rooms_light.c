// Light in rooms: what arrives where, and what leaves for the camera.
#include "runtime/data/rooms_scene.h"

#include <string.h>

// Things nearer than this darken a point, metres.
static const float near_reach = 0.45f;

// Point `k` of eight on a light: evenly along one side, in bit-reversed order along the other.
static Vec light_point(const Light *light, int k, float jitter) {
  float u = ((float)k + 0.25f + 0.5f * jitter) / 4 - 1;
  float v = ((float)((k & 1) << 2 | (k & 2) | k >> 2) + 0.75f - 0.5f * jitter) / 4 - 1;
  if (light->kind == LIGHT_PANEL) return vec_add(light->at, vec_add(vec_scale(light->u, u), vec_scale(light->v, v)));
  return vec_add(light->at, vec_scale(vec(u, v * 0.5f, (u + v) * 0.5f), light->radius));
}

// The point that a shadow ray goes to; false if the light cannot reach the surface anyway.
static bool shadow_target(const Light *light, const Point *p, int k, float jitter, Vec *out) {
  if (light->kind != LIGHT_SUN) {
    *out = light_point(light, k, jitter);
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
  near = maxf(near, minf(a, b));
  far = minf(far, maxf(a, b));
  a = (low.y - o.y) * iy, b = (high.y - o.y) * iy;
  near = maxf(near, minf(a, b));
  far = minf(far, maxf(a, b));
  a = (low.z - o.z) * iz, b = (high.z - o.z) * iz;
  near = maxf(near, minf(a, b));
  far = minf(far, maxf(a, b));
  return near <= far;
}

// The groups that may stand between the points of a sphere and the light.
static int shadow_groups(const Scene *scene, const Light *light, Vec centre, float radius, int *out) {
  int n = 0;
  Vec to = light->kind == LIGHT_SUN ? vec_add(centre, vec_scale(light->normal, 12)) : light->at;
  float grown = light->kind == LIGHT_PANEL ? vec_length(light->u) + light->v.y : light->radius;
  float reach = maxf(radius, grown);
  Vec along = vec_sub(to, centre), margin = vec(reach, reach, reach);
  float length2 = vec_dot(along, along) + 1e-9f;
  for (int g = 0; g < scene->n_groups; g++) {
    const Group *group = &scene->group[g];
    if (!group->casts_shadow) continue;
    if (!segment_meets_box(vec_sub(group->low, margin), vec_add(group->high, margin), centre, along)) continue;
    // The sphere around the group against the cone from the points to the light.
    Vec middle = vec_scale(vec_add(group->low, group->high), 0.5f), offset = vec_sub(middle, centre);
    float t = clampf(vec_dot(offset, along) / length2, 0, 1);
    float limit = vec_length(vec_sub(group->high, middle)) + maxf(radius * (1 - t) + grown * t, radius * 0.5f);
    Vec gap = vec_sub(offset, vec_scale(along, t));
    if (vec_dot(gap, gap) < limit * limit) out[n++] = g;
  }
  return n;
}

// *blocker is the solid that stood in the way of the pixel before, if any: most likely it does again.
static bool is_shadowed(const Scene *scene, const Point *p, Vec target, const int *groups, int n_groups, int *blocker) {
  Vec origin = vec_add(p->at, vec_scale(p->normal, 2e-3f)), direction = vec_sub(target, origin);
  if (*blocker >= 0 && *blocker != p->solid && solid_blocks(&scene->solid[*blocker], origin, direction)) return true;
  for (int k = 0; k < n_groups; k++) {
    const Group *group = &scene->group[groups[k]];
    if (!segment_meets_box(group->low, group->high, origin, direction)) continue;
    for (int i = group->first; i < group->first + group->n; i++)
      if (i != p->solid && solid_blocks(&scene->solid[i], origin, direction)) {
        *blocker = i;
        return true;
      }
  }
  return false;
}

// How open the surroundings of a point are: darker near the room's other faces and near things.
static float openness(const Scene *scene, const Point *p, const int *groups, int n_groups) {
  Vec s = scene->size, q = p->at, n = p->normal;
  const float reach = 0.9f;
  float gaps[6] = {q.x, s.x - q.x, q.y, s.y - q.y, q.z, s.z - q.z};
  float away[6] = {n.x, -n.x, n.y, -n.y, n.z, -n.z}; // 1 where the point lies on the face or looks away from it
  float open = 1;
  for (int i = 0; i < 6; i++) {
    if (gaps[i] >= reach || away[i] > 0.5f) continue;
    float near = 1 - maxf(gaps[i], 0) / reach;
    open *= 1 - 0.34f * near * near * near * (1 - maxf(away[i], 0));
  }
  int own = p->solid < 0 ? -1 : scene->solid[p->solid].group;
  for (int k = 0; k < n_groups; k++) {
    if (groups[k] == own) continue;
    const Group *g = &scene->group[groups[k]];
    Vec to = vec(clampf(q.x, g->low.x, g->high.x) - q.x, clampf(q.y, g->low.y, g->high.y) - q.y,
                 clampf(q.z, g->low.z, g->high.z) - q.z);
    float d2 = vec_dot(to, to);
    if (d2 >= near_reach * near_reach) continue;
    float distance = sqrtf(d2), near = 1 - distance / near_reach;
    float side = distance < 1e-4f ? 1 : clampf(0.35f + vec_dot(to, n) / distance, 0, 1);
    open *= 1 - 0.5f * side * near * near * near;
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
          dz = clampf(centre.z, group->low.z, group->high.z) - centre.z, reach = radius + near_reach;
    if (dx * dx + dy * dy + dz * dz < reach * reach) out[n++] = g;
  }
  return n;
}

// Whether a pixel's rays are cast: those of one colour of a chessboard, and those whose neighbours of that colour all
// show another surface.
static bool is_cast(const Pixels *p, int x, int y) {
  if (((x ^ y) & 1) == 0) return true;
  size_t i = (size_t)y * (size_t)p->width + (size_t)x, row = (size_t)p->width;
  uint16_t s = p->surface[i];
  return !((x > 0 && p->surface[i - 1] == s) || (x + 1 < p->width && p->surface[i + 1] == s) ||
           (y > 0 && p->surface[i - row] == s) || (y + 1 < p->height && p->surface[i + row] == s));
}

void light_tile(const Scene *scene, Pixels *pixels, int x0, int y0, int x1, int y1) {
  Vec low = vec(1e9f, 1e9f, 1e9f), high = vec(-1e9f, -1e9f, -1e9f);
  for (int y = y0; y < y1; y++)
    for (int x = x0; x < x1; x++) {
      Vec p = pixels->point[(size_t)y * (size_t)pixels->width + (size_t)x].at;
      low = vec(minf(low.x, p.x), minf(low.y, p.y), minf(low.z, p.z));
      high = vec(maxf(high.x, p.x), maxf(high.y, p.y), maxf(high.z, p.z));
    }
  Vec centre = vec_scale(vec_add(low, high), 0.5f);
  float radius = vec_length(vec_sub(high, centre));
  int near[MAX_GROUPS], between[MAX_LIGHTS][MAX_GROUPS], n_between[MAX_LIGHTS], blocker[MAX_LIGHTS];
  int n_near = near_groups(scene, centre, radius, near);
  for (int l = 0; l < scene->n_lights; l++) {
    n_between[l] = shadow_groups(scene, &scene->light[l], centre, radius, between[l]);
    blocker[l] = -1;
  }
  for (int y = y0; y < y1; y++)
    for (int x = x0; x < x1; x++) {
      size_t i = (size_t)y * (size_t)pixels->width + (size_t)x;
      const Point *p = &pixels->point[i];
      pixels->open[i] = openness(scene, p, near, n_near);
      if (!is_cast(pixels, x, y)) {
        pixels->lit[i][0] = -1;
        continue;
      }
      Lit lit = {0};
      for (int l = 0; l < scene->n_lights; l++) {
        Vec target;
        float jitter = lattice(x, y, scene->seed + (uint32_t)l);
        int k = (y & 3) << 1 | (x & 3) >> 1; // all eight in each 4x4 pixels
        if (shadow_target(&scene->light[l], p, k, jitter, &target) &&
            !is_shadowed(scene, p, target, between[l], n_between[l], &blocker[l]))
          lit[l] = 1;
      }
      pixels->lit[i] = lit;
    }
}

void light_soften(Pixels *pixels) {
  // Rows are finished into a buffer two rows behind what is read.
  size_t row = (size_t)pixels->width;
  Lit *done[2] = {pixels->scratch, pixels->scratch + row};
  for (int y = 0; y < pixels->height; y++) {
    Lit *out = done[y & 1];
    for (int x = 0; x < pixels->width; x++) {
      uint16_t s = pixels->surface[(size_t)y * row + (size_t)x];
      Lit sum = {0};
      float count = 0;
      for (int v = y > 0 ? y - 1 : 0; v <= y + 2 && v < pixels->height; v++)
        for (int u = x > 0 ? x - 1 : 0; u <= x + 2 && u < pixels->width; u++) {
          size_t j = (size_t)v * row + (size_t)u;
          if (pixels->surface[j] != s || pixels->lit[j][0] < 0) continue;
          sum += pixels->lit[j];
          count += 1;
        }
      out[x] = sum / count; // never 0: see is_cast
    }
    if (y > 0) memcpy(pixels->lit + (size_t)(y - 1) * row, done[(y - 1) & 1], row * sizeof *out);
  }
  size_t last = (size_t)(pixels->height - 1);
  memcpy(pixels->lit + last * row, done[last & 1], row * sizeof *done[0]);
}

const Material *point_material(const Scene *scene, const Point *p) {
  return p->solid < 0 ? &scene->face[p->face] : &scene->solid[p->solid].material;
}

Vec light_shade(const Scene *scene, const Point *p, float focal, Lit lit, float open) {
  const Material *m = point_material(scene, p);
  Vec view = vec_sub(scene->eye, p->at);
  float distance = vec_length(view);
  view = vec_scale(view, 1 / distance);
  float facing = maxf(vec_dot(view, p->normal), 0.15f), footprint = p->z / (focal * sqrtf(facing));
  Vec colour = texture_colour(m, p->u, p->v, footprint);
  if (m->glow > 0) return vec_scale(colour, m->glow);

  // From above comes the light of the ceiling, from below what the floor throws back.
  Vec floor = scene->face[FACE_FLOOR].a;
  Vec around =
      vec_mix(vec_scale(vec_mix(vec(1, 1, 1), floor, 0.6f), 0.75f), vec(1.1f, 1.1f, 1.1f), 0.5f + 0.5f * p->normal.y);
  Vec sum = vec_scale(vec_mul(scene->ambient, around), open), highlight = vec(0, 0, 0);
  for (int l = 0; l < scene->n_lights; l++) {
    const Light *light = &scene->light[l];
    float share = lit[l];
    if (share == 0) continue;
    Vec to = light->kind == LIGHT_SUN ? light->normal : vec_sub(light->at, p->at);
    float d2 = vec_dot(to, to), inverse = 1 / sqrtf(d2);
    to = vec_scale(to, inverse);
    float strength = light->kind == LIGHT_SUN ? 1 : 1 / (d2 + 0.3f);
    if (light->kind == LIGHT_PANEL) strength *= maxf(-vec_dot(to, light->normal), 0.05f);
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
