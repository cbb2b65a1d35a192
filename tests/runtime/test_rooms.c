// Rooms: the same bits whoever renders them, and depths that are those of the picture's geometry.
#include <pthread.h>

#include "runtime/base/hash.h"
#include "runtime/data/rooms.h"
#include "tests/check.h"

enum { W = 160, H = 128 };

static Hash view_hash(const RoomView *view) {
  size_t n = (size_t)view->picture.width * (size_t)view->picture.height;
  return hash_combine(hash_bytes(view->picture.rgb, 3 * n), hash_bytes(view->depth.metres, n * sizeof(float)));
}

static Hash room_hash(uint64_t seed, uint64_t index) {
  RoomView view;
  room_render(seed, index, W, H, &view);
  Hash hash = view_hash(&view);
  room_free(&view);
  return hash;
}

static bool same(Hash a, Hash b) { return a.high == b.high && a.low == b.low; }

static void *render_some(void *out) {
  Hash *hash = out;
  for (uint64_t i = 0; i < 4; i++) hash[i] = room_hash(5, i);
  return NULL;
}

static void test_deterministic(void) {
  Hash mine[4], theirs[2][4];
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, render_some, theirs[i]);
  for (uint64_t i = 0; i < 4; i++) mine[3 - i] = room_hash(5, 3 - i);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < 4; i++)
    CHECK(same(mine[i], theirs[0][i]) && same(mine[i], theirs[1][i]), "room %d differs between threads", i);
  for (int i = 1; i < 4; i++) CHECK(!same(mine[0], mine[i]), "rooms 0 and %d are the same", i);
  CHECK(!same(mine[0], room_hash(6, 0)), "seeds 5 and 6 give the same room");
}

static void test_statistics(void) {
  enum { N = 60 };
  double sum = 0, holes = 0, bright = 0, lowest_mean = 1e9, highest_mean = 0;
  for (uint64_t i = 0; i < N; i++) {
    RoomView view;
    room_render(1, i, W, H, &view);
    double mean = 0, n = 0;
    float nearest = 1e9f;
    bool is_sane = true;
    for (int k = 0; k < W * H; k++) {
      float d = view.depth.metres[k], exact = view.exact[k];
      is_sane = is_sane && d >= 0 && d < ROOM_FAR && exact > 0 && exact < 15 && isfinite(exact);
      // The sensor's noise grows with the square of the distance.
      if (d > 0) is_sane = is_sane && fabsf(d - exact) < 0.004f * exact * exact + 0.002f;
      if (exact < nearest) nearest = exact;
      mean += d;
      n += d > 0;
      bright += view.picture.rgb[3 * k + 1];
    }
    CHECK(is_sane, "room %d has impossible depths", (int)i);
    CHECK(nearest > 0.1f, "room %d: something stands %.3f m before the camera", (int)i, nearest);
    CHECK(n > 0.5 * W * H, "room %d: only %.0f depths of %d", (int)i, n, W * H);
    mean /= n;
    lowest_mean = fmin(lowest_mean, mean);
    highest_mean = fmax(highest_mean, mean);
    sum += mean;
    holes += 1 - n / (W * H);
    room_free(&view);
  }
  CHECK(sum / N > 2 && sum / N < 4, "mean depth %.2f m", sum / N);
  CHECK(highest_mean - lowest_mean > 2, "mean depths from %.2f to %.2f m do not vary", lowest_mean, highest_mean);
  CHECK(holes / N > 0.01 && holes / N < 0.2, "%.1f %% holes", 100 * holes / N);
  CHECK(bright / N / (W * H) > 70 && bright / N / (W * H) < 190, "mean brightness %.0f", bright / N / (W * H));
}

// The point in the world's axes that a pixel sees, by the camera that the room states: x right, y up, z level forward.
static void unproject(const RoomView *view, int x, int y, double out[3]) {
  const RoomCamera *c = &view->camera;
  double z = view->exact[y * view->picture.width + x], u = (x + 0.5 - c->cx) / c->f * z,
         v = (y + 0.5 - c->cy) / c->f * z;
  out[0] = u;
  out[1] = c->height - v * cos(c->pitch) - z * sin(c->pitch);
  out[2] = z * cos(c->pitch) - v * sin(c->pitch);
}

// Points of the floor lie at height 0, those of the ceiling at one height, and those of a wall on one vertical plane.
static void test_planes(void) {
  int floors = 0, ceilings = 0, walls = 0;
  for (uint64_t i = 0; i < 12; i++) {
    RoomView view;
    room_render(2, i, W, H, &view);
    double ceiling = NAN, worst_floor = 0, worst_ceiling = 0;
    for (int y = 0; y < H; y++)
      for (int x = 0; x < W; x++) {
        double p[3];
        unproject(&view, x, y, p);
        if (view.surface[y * W + x] == 0) {
          worst_floor = fmax(worst_floor, fabs(p[1]));
          floors++;
        } else if (view.surface[y * W + x] == 1) {
          if (isnan(ceiling)) ceiling = p[1];
          worst_ceiling = fmax(worst_ceiling, fabs(p[1] - ceiling));
          ceilings++;
        }
      }
    CHECK(worst_floor < 5e-4, "room %d: the floor is off by %.6f m", (int)i, worst_floor);
    CHECK(worst_ceiling < 5e-4, "room %d: the ceiling is off by %.6f m", (int)i, worst_ceiling);
    for (int s = 2; s < 6; s++) { // walls: the plane through two far points, checked on all others
      double a[3], b[3], p[3];
      int n = 0;
      double worst = 0;
      bool has_a = false, has_b = false;
      for (int x = 0; x < W; x++)
        for (int y = 0; y < H; y++)
          if (view.surface[y * W + x] == s) {
            if (!has_a) unproject(&view, x, y, a), has_a = true;
            unproject(&view, x, y, b), has_b = true;
          }
      double nx = b[2] - a[2], nz = a[0] - b[0], length = hypot(nx, nz);
      if (!has_b || length < 0.5) continue;
      for (int x = 0; x < W; x++)
        for (int y = 0; y < H; y++)
          if (view.surface[y * W + x] == s) {
            unproject(&view, x, y, p);
            worst = fmax(worst, fabs((p[0] - a[0]) * nx + (p[2] - a[2]) * nz) / length);
            n++;
          }
      CHECK(worst < 1e-3, "room %d, wall %d: off its plane by %.6f m over %d points", (int)i, s, worst, n);
      walls++;
    }
    room_free(&view);
  }
  CHECK(floors > 5000 && ceilings > 100 && walls > 8, "seen: %d floor, %d ceiling, %d walls", floors, ceilings, walls);
}

// The same room in another size has the same depths at the same directions.
static void test_sizes(void) {
  RoomView small, large;
  room_render(3, 1, 80, 64, &small);
  room_render(3, 1, 240, 192, &large);
  int n = 0, equal = 0;
  for (int y = 0; y < 64; y++)
    for (int x = 0; x < 80; x++) { // the middle of three pixels sees along the same ray
      float a = small.exact[y * 80 + x], b = large.exact[(3 * y + 1) * 240 + 3 * x + 1];
      n++;
      equal += fabsf(a - b) < 1e-4f * a;
    }
  CHECK(equal > 0.995 * n, "%d of %d depths agree", equal, n);
  room_free(&small);
  room_free(&large);
  room_render(3, 2, 16, 17, &small);
  CHECK(small.picture.width == 16 && small.depth.height == 17, "smallest size");
  room_free(&small);
  char text[ROOM_TEXT];
  room_describe(3, 1, text);
  CHECK(strstr(text, " m: ") != NULL, "%s", text);
}

int main(void) {
  test_deterministic();
  test_statistics();
  test_planes();
  test_sizes();
  return check_report("test_rooms");
}
