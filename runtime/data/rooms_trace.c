// Rays against the solids of a room.
#include "runtime/data/rooms_scene.h"

static Vec to_local(const Solid *s, Vec v) {
  return vec(s->cosine * v.x - s->sine * v.z, v.y, s->sine * v.x + s->cosine * v.z);
}

static Vec to_world(const Solid *s, Vec v) {
  return vec(s->cosine * v.x + s->sine * v.z, v.y, -s->sine * v.x + s->cosine * v.z);
}

// Nearest entry in front of the origin, by slabs; false if there is none.
static bool box_hit(Vec half, Vec o, Vec d, float *out_t, int *out_face) {
  float ix = 1 / d.x, iy = 1 / d.y, iz = 1 / d.z;
  float tx0 = (-half.x - o.x) * ix, tx1 = (half.x - o.x) * ix;
  float ty0 = (-half.y - o.y) * iy, ty1 = (half.y - o.y) * iy;
  float tz0 = (-half.z - o.z) * iz, tz1 = (half.z - o.z) * iz;
  float nx = minf(tx0, tx1), ny = minf(ty0, ty1), nz = minf(tz0, tz1);
  float near = nx > ny ? nx : ny;
  near = near > nz ? near : nz;
  float fx = maxf(tx0, tx1), fy = maxf(ty0, ty1), fz = maxf(tz0, tz1);
  float far = fx < fy ? fx : fy;
  far = far < fz ? far : fz;
  if (!(near <= far) || near <= 0) return false;
  *out_t = near;
  *out_face = near == nx ? (d.x > 0 ? 0 : 1) : near == ny ? (d.y > 0 ? 2 : 3) : (d.z > 0 ? 4 : 5);
  return true;
}

static bool round_hit(const Solid *s, Vec o, Vec d, float *out_t, int *out_face) {
  // In units of the bottom radius; the radius at height y is p + q y.
  float ox = o.x / s->half.x, oz = o.z / s->half.z, dx = d.x / s->half.x, dz = d.z / s->half.z;
  float q = (s->taper - 1) / (2 * s->half.y), p = (s->taper + 1) / 2, r = p + q * o.y, rd = q * d.y;
  float a = dx * dx + dz * dz - rd * rd, b = ox * dx + oz * dz - r * rd, c = ox * ox + oz * oz - r * r;
  float best = INFINITY;
  int face = 0;
  float discriminant = b * b - a * c;
  if (discriminant > 0 && fabsf(a) > 1e-12f) {
    float root = sqrtf(discriminant), t = (-b - root) / a;
    for (int k = 0; k < 2; k++, t = (-b + root) / a)
      if (t > 0 && t < best && fabsf(o.y + t * d.y) <= s->half.y && r + t * rd >= 0) best = t;
  }
  if (d.y != 0) {
    float side = d.y < 0 ? 1 : -1, t = (side * s->half.y - o.y) / d.y;
    float x = ox + t * dx, z = oz + t * dz, radius = side > 0 ? s->taper : 1;
    if (t > 0 && t < best && x * x + z * z <= radius * radius) {
      best = t;
      face = side > 0 ? 1 : 2;
    }
  }
  *out_t = best;
  *out_face = face;
  return best < INFINITY;
}

static bool ball_hit(Vec half, Vec o, Vec d, float *out_t) {
  Vec p = vec(o.x / half.x, o.y / half.y, o.z / half.z), q = vec(d.x / half.x, d.y / half.y, d.z / half.z);
  float a = vec_dot(q, q), b = vec_dot(p, q), c = vec_dot(p, p) - 1, discriminant = b * b - a * c;
  if (discriminant <= 0) return false;
  *out_t = (-b - sqrtf(discriminant)) / a;
  return *out_t > 0;
}

static bool hit_local(const Solid *solid, Vec o, Vec d, float *t, int *face) {
  *face = 0;
  switch (solid->kind) {
  case SOLID_BOX: return box_hit(solid->half, o, d, t, face);
  case SOLID_ROUND: return round_hit(solid, o, d, t, face);
  case SOLID_BALL: return ball_hit(solid->half, o, d, t);
  }
  return false;
}

bool solid_hit(const Solid *solid, Vec origin, Vec direction, Hit *hit) {
  float t;
  int face;
  if (!hit_local(solid, to_local(solid, vec_sub(origin, solid->centre)), to_local(solid, direction), &t, &face) ||
      t >= hit->t)
    return false;
  hit->t = t;
  hit->face = face;
  return true;
}

bool solid_blocks(const Solid *solid, Vec origin, Vec direction) {
  float t;
  int face;
  return hit_local(solid, to_local(solid, vec_sub(origin, solid->centre)), to_local(solid, direction), &t, &face) &&
         t < 1;
}

Hit room_hit(const Scene *scene, Vec o, Vec d) {
  Hit hit = {INFINITY, -1, 0};
  float t = d.y < 0 ? -o.y / d.y : (scene->size.y - o.y) / d.y;
  if (d.y != 0 && t < hit.t) hit = (Hit){t, -1, d.y < 0 ? FACE_FLOOR : FACE_CEILING};
  t = d.x < 0 ? -o.x / d.x : (scene->size.x - o.x) / d.x;
  if (d.x != 0 && t < hit.t) hit = (Hit){t, -1, FACE_WALL + (d.x < 0 ? 1 : 2)};
  t = d.z < 0 ? -o.z / d.z : (scene->size.z - o.z) / d.z;
  if (d.z != 0 && t < hit.t) hit = (Hit){t, -1, FACE_WALL + (d.z < 0 ? 3 : 0)};
  return hit;
}

static void room_surface(int face, Vec p, Vec *normal, float *u, float *v) {
  static const Vec normals[N_ROOM_FACES] = {{0, 1, 0}, {0, -1, 0}, {0, 0, -1}, {1, 0, 0}, {-1, 0, 0}, {0, 0, 1}};
  *normal = normals[face];
  bool is_flat = face <= FACE_CEILING, is_side = face == FACE_WALL + 1 || face == FACE_WALL + 2;
  *u = is_side ? p.z : p.x;
  *v = is_flat ? p.z : p.y;
}

void hit_surface(const Scene *scene, Hit hit, Vec point, Vec *out_normal, float *out_u, float *out_v) {
  if (hit.solid < 0) {
    room_surface(hit.face, point, out_normal, out_u, out_v);
    return;
  }
  const Solid *s = &scene->solid[hit.solid];
  Vec p = to_local(s, vec_sub(point, s->centre)), n;
  if (s->kind == SOLID_BOX) {
    float sign = hit.face & 1 ? 1 : -1;
    int axis = hit.face / 2;
    n = vec(axis == 0 ? sign : 0, axis == 1 ? sign : 0, axis == 2 ? sign : 0);
    *out_u = axis == 0 ? p.z : p.x;
    *out_v = axis == 1 ? p.z : p.y;
  } else if (s->kind == SOLID_ROUND && hit.face) {
    n = vec(0, hit.face == 1 ? 1 : -1, 0);
    *out_u = p.x;
    *out_v = p.z;
  } else {
    if (s->kind == SOLID_ROUND) {
      float slope = (1 - s->taper) * s->half.x / (2 * s->half.y);
      n = vec(p.x / (s->half.x * s->half.x), 0, p.z / (s->half.z * s->half.z));
      n = vec_scale(n, 1 / (vec_length(n) + 1e-9f));
      n.y = slope;
    } else {
      n = vec(p.x / (s->half.x * s->half.x), p.y / (s->half.y * s->half.y), p.z / (s->half.z * s->half.z));
    }
    n = vec_scale(n, 1 / (vec_length(n) + 1e-9f));
    *out_u = atan2f(p.x, p.z) * s->half.x;
    *out_v = p.y;
  }
  *out_normal = to_world(s, n);
}
