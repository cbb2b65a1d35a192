// The scene behind a room: solids, materials, lights and camera. For the rooms_*.c files alone.
//
// World: x to the right along the width, y up, z along the length; metres. The room is [0, size.x] x [0, size.y] x
// [0, size.z]. Colours are linear light.
#ifndef SG_DATA_ROOMS_SCENE_H
#define SG_DATA_ROOMS_SCENE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/random.h"
#include "runtime/data/rooms.h"

typedef struct Vec {
  float x, y, z;
} Vec;

static inline Vec vec(float x, float y, float z) { return (Vec){x, y, z}; }
static inline Vec vec_add(Vec a, Vec b) { return vec(a.x + b.x, a.y + b.y, a.z + b.z); }
static inline Vec vec_sub(Vec a, Vec b) { return vec(a.x - b.x, a.y - b.y, a.z - b.z); }
static inline Vec vec_mul(Vec a, Vec b) { return vec(a.x * b.x, a.y * b.y, a.z * b.z); }
static inline Vec vec_scale(Vec a, float s) { return vec(a.x * s, a.y * s, a.z * s); }
static inline Vec vec_mix(Vec a, Vec b, float t) { return vec_add(vec_scale(a, 1 - t), vec_scale(b, t)); }
static inline float vec_dot(Vec a, Vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static inline float vec_length(Vec a) { return sqrtf(vec_dot(a, a)); }
// Not fminf and fmaxf, which are calls where NaN must be heeded.
static inline float minf(float a, float b) { return a < b ? a : b; }
static inline float maxf(float a, float b) { return a > b ? a : b; }
static inline float clampf(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

typedef enum Texture {
  TEXTURE_PLAIN,    // paint, slightly uneven
  TEXTURE_PLASTER,  // rough paint
  TEXTURE_PLANKS,   // floor boards
  TEXTURE_WOOD,     // grain
  TEXTURE_TILES,    // squares with grout
  TEXTURE_BRICK,    // staggered
  TEXTURE_STRIPES,  // wallpaper
  TEXTURE_DAMASK,   // wallpaper with a motif
  TEXTURE_CARPET,   // fine grain
  TEXTURE_RUG,      // bordered pattern over its whole extent
  TEXTURE_FABRIC,   // weave
  TEXTURE_PAINTING, // an abstract picture over its whole extent
  TEXTURE_WINDOW,   // sky and trees behind panes
  TEXTURE_PANELS,   // a door's or cupboard's panels over its extent
  TEXTURE_MARBLE,   // veins
  TEXTURE_SCREEN,   // dark glass with a glow
  TEXTURE_LEAF,     // foliage
} Texture;

typedef struct Material {
  Texture texture;
  Vec a, b;            // main and second colour
  float scale;         // of the pattern, metres
  float shine;         // 0 matt .. 1 mirror-like: highlights and holes in the depth
  float glow;          // light it emits, in units of its colour
  float width, height; // extent of the face, for textures that fill it
  uint32_t seed;
} Material;

typedef enum SolidKind { SOLID_BOX, SOLID_ROUND, SOLID_BALL } SolidKind;

// A box, a vertical cylinder or frustum with elliptical section, or an ellipsoid, turned about the vertical axis.
typedef struct Solid {
  SolidKind kind;
  Vec centre, half;
  float cosine, sine; // of the yaw: local x is (cosine, 0, -sine), local z is (sine, 0, cosine)
  float taper;        // of a round solid: top radius / bottom radius
  int group;
  Material material;
} Solid;

// Solids that make one thing: shadows and darkened corners are looked for by group first.
typedef struct Group {
  int first, n;
  Vec low, high; // bounds
  bool casts_shadow;
} Group;

typedef enum LightKind { LIGHT_BALL, LIGHT_PANEL, LIGHT_SUN } LightKind;

typedef struct Light {
  LightKind kind;
  Vec at, colour; // colour is the intensity at one metre; of the sun, the irradiance
  float radius;   // ball
  Vec u, v;       // panel: half extents along the wall; sun: those of the window that it shines through
  Vec normal;     // panel: into the room; sun: towards the sun
} Light;

enum { MAX_SOLIDS = 640, MAX_GROUPS = 96, MAX_LIGHTS = 4 };
enum { FACE_FLOOR, FACE_CEILING, FACE_WALL, N_ROOM_FACES = 6 }; // walls: far, left, right, near

typedef struct Scene {
  const char *kind;
  Vec size;
  Material face[N_ROOM_FACES];
  Solid solid[MAX_SOLIDS];
  int n_solids;
  Group group[MAX_GROUPS];
  int n_groups;
  Light light[MAX_LIGHTS];
  int n_lights;
  Vec ambient;
  Vec eye;
  float yaw, pitch, focal; // focal length in picture widths
  float exposure, noise, vignette;
  Vec tint;
  uint32_t seed;
  char furniture[96];
} Scene;

// Furnishes room `index` of `seed`.
void scene_build(uint64_t seed, uint64_t index, Scene *scene);

// ---- Building (rooms_build.c) ----

// Where a thing stands: local x to its right, z to its front.
typedef struct Frame {
  float x, y, z, cosine, sine;
} Frame;

typedef struct Footprint {
  float x0, z0, x1, z1;
} Footprint;

// What covers a wall: along it and above the floor.
typedef struct WallSpan {
  int wall;
  float from, to, low, high;
} WallSpan;

enum { MAX_FOOTPRINTS = 64, MAX_SPANS = 64 };
typedef struct Builder {
  Scene *scene;
  Random random;
  Footprint taken[MAX_FOOTPRINTS];
  int n_taken;
  WallSpan span[MAX_SPANS];
  int n_spans;
  Material wood, wood2, fabric, fabric2, metal, white; // the room's own set of materials
} Builder;

static inline float draw(Builder *b, float low, float high) { return (float)random_between(&b->random, low, high); }
static inline bool chance(Builder *b, float p) { return random_uniform(&b->random) < p; }
static inline int pick(Builder *b, int n) { return (int)random_below(&b->random, (uint32_t)n); }

Frame frame_at(float x, float y, float z, float yaw);
// The frame moved within its own axes and turned.
Frame frame_move(Frame frame, float x, float y, float z, float yaw);

// Everything added until group_end is one thing. Things beyond the limits are left out.
void group_begin(Builder *b);
void group_end(Builder *b, bool casts_shadow);

// (x, z) is the middle and y the underside, in the frame.
void add_box(Builder *b, Frame frame, float x, float y, float z, float width, float height, float depth,
             Material material);
void add_round(Builder *b, Frame frame, float x, float y, float z, float radius, float top_radius, float height,
               Material material);
void add_ball(Builder *b, Frame frame, float x, float y, float z, float width, float height, float depth,
              Material material);
void add_light(Builder *b, Light light);

Material material_make(Builder *b, Texture texture, Vec a, Vec b_colour, float scale, float shine);
Vec colour_srgb(int rgb); // 0xrrggbb to linear light
Vec colour_jitter(Builder *b, Vec colour, float amount);
Material material_wood(Builder *b);
Material material_fabric(Builder *b);

// Looks for room for a thing of width x depth, free-standing or with its back to a wall; there it must not cover what
// hangs below `height`.
bool place_at_wall(Builder *b, float width, float depth, float height, Frame *out);
bool place_free(Builder *b, float width, float depth, Frame *out);
// Looks for a free piece of wall from `low` to `high` above the floor; wall 0 far, 1 left, 2 right, 3 near, -1 any. The
// frame is on the floor below its middle, facing in.
bool place_on_wall(Builder *b, int wall, float width, float low, float high, Frame *out);

// Parts that several pieces share (rooms_furniture.c): one colour; some colour; doors and drawers of a wood, `across`
// side by side; four legs under a top of width x depth; cups, books and fruit on a top at height y; a lamp standing at
// height y.
Material material_plain(Builder *b, Vec colour, float shine);
Material material_paint(Builder *b, float shine);
Material material_fronts(const Material *wood, float across);
void add_legs(Builder *b, Frame frame, float width, float depth, float height, float inset, float thick,
              Material material);
void add_clutter(Builder *b, Frame frame, float y, float width, float depth, int most);
void add_lamp(Builder *b, Frame frame, float y, float height, float radius, bool is_on);

// The pieces (rooms_furniture.c, rooms_storage.c). Each is a thing of its own with what stands on it.
typedef void FurnishFn(Builder *b);
FurnishFn furnish_sofa, furnish_armchair, furnish_coffee_table, furnish_dining, furnish_desk, furnish_shelf,
    furnish_bed, furnish_wardrobe, furnish_dresser, furnish_television, furnish_floor_lamp, furnish_plant,
    furnish_kitchen, furnish_boxes, furnish_bath, furnish_counter, furnish_chair;
// What hangs (rooms_walls.c).
FurnishFn furnish_window, furnish_picture, furnish_door, furnish_pillar, furnish_wall_shelf, furnish_radiator,
    furnish_rug;

// The colour of a material at (u, v) metres on its face; details below `footprint` metres are faded.
Vec texture_colour(const Material *material, float u, float v, float footprint);

// Hash of 32 bits; of two lattice numbers; the latter to [0, 1); and smooth noise of about that range over the lattice.
static inline uint32_t mix_bits(uint32_t h) {
  h ^= h >> 16;
  h *= 0x7feb352du;
  h ^= h >> 15;
  h *= 0x846ca68bu;
  return h ^ h >> 16;
}
static inline uint32_t lattice_bits(int32_t x, int32_t y, uint32_t seed) {
  return mix_bits((uint32_t)x * 0x9e3779b1u ^ mix_bits((uint32_t)y * 0x85ebca77u ^ seed));
}
static inline float lattice(int32_t x, int32_t y, uint32_t seed) {
  return (float)(lattice_bits(x, y, seed) >> 8) * 0x1p-24f;
}
float smooth_noise(float x, float y, uint32_t seed);

// ---- Rays (rooms_trace.c) ----

typedef struct Hit {
  float t;
  int solid; // -1 for the room's own faces
  int face;  // of the room, of the box (0..5), or 0 side, 1 top, 2 bottom
} Hit;

// The nearer of *hit and the solid, if the ray origin + t direction meets it; true if it was nearer.
bool solid_hit(const Solid *solid, Vec origin, Vec direction, Hit *hit);
// True if the solid lies between origin and origin + direction.
bool solid_blocks(const Solid *solid, Vec origin, Vec direction);
// Where a ray that starts inside leaves the room.
Hit room_hit(const Scene *scene, Vec origin, Vec direction);
// Outward normal and texture coordinates at a hit point.
void hit_surface(const Scene *scene, Hit hit, Vec point, Vec *out_normal, float *out_u, float *out_v);

// ---- Light (rooms_light.c) ----

// What a ray sees.
typedef struct Point {
  Vec at, normal;
  float z; // along the optical axis
  float u, v;
  int16_t solid, face; // as in Hit
} Point;

// The share of each light that arrives.
typedef float Lit __attribute__((vector_size(MAX_LIGHTS * sizeof(float))));

// The grid of points that a picture's pixels see, and what is known of their light.
typedef struct Pixels {
  int width, height;
  float focal; // pixels
  Point *point;
  uint16_t *surface; // as in RoomView
  Lit *lit;
  float *open;  // share of the surroundings that is not blocked
  Lit *scratch; // two rows, for light_soften
} Pixels;

// Finds the lit and open of the pixels [x0, x1) x [y0, y1), with the points of all pixels known. Every other pixel, and
// those that none of their neighbours shares a surface with, gets one jittered ray to each light; the others are left
// for light_soften, which takes means over 4x4 neighbours of the same surface: they hold all the points of a light's
// pattern.
void light_tile(const Scene *scene, Pixels *pixels, int x0, int y0, int x1, int y1);
void light_soften(Pixels *pixels);

const Material *point_material(const Scene *scene, const Point *point);
// The light that leaves the point towards the camera; focal in pixels.
Vec light_shade(const Scene *scene, const Point *point, float focal, Lit lit, float open);

#endif
