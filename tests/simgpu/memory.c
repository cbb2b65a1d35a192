#include "tests/simgpu/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

// Bit 48 set and bit 47 clear: no pointer of a host process looks so, neither on x86-64 nor on aarch64.
static const uint64_t first_base = 0x0001000000000000ull;
enum { DEVICE_BITS = 40, ALIGNMENT = 256, FREED_KEPT = 4096 };
static const uint64_t first_offset = 1 << 20;

typedef struct Range {
  uint64_t offset, bytes;
} Range;

typedef struct Device {
  SimArena arena;
  uint64_t capacity, used, peak, top; // top: where room that nobody ever had begins
  Range *live;                        // by offset
  int n_live, room_live;
  Range freed[FREED_KEPT]; // a ring of the latest, for messages
  uint64_t n_freed;
} Device;

static Device devices[SIM_DEVICES];
static int n_opened;

static uint64_t round_up(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

void sim_memory_open(int n_devices, uint64_t bytes_each) {
  for (int d = 0; d < n_opened; d++) {
    munmap(devices[d].arena.bytes - devices[d].arena.span, 2 * devices[d].arena.span);
    free(devices[d].live);
    memset(&devices[d], 0, sizeof devices[d]);
  }
  n_opened = n_devices < SIM_DEVICES ? n_devices : SIM_DEVICES;
  uint64_t span = 1 << 24;
  while (span < 4 * bytes_each && span < (1ull << DEVICE_BITS)) span *= 2; // freed ranges rest long
  for (int d = 0; d < n_opened; d++) {
    uint8_t *map = mmap(NULL, 2 * span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) {
      fprintf(stderr, "simgpu: no address space for %d devices of %llu bytes\n", n_devices,
              (unsigned long long)bytes_each);
      abort();
    }
    devices[d].arena = (SimArena){first_base + ((uint64_t)d << DEVICE_BITS), span, map + span};
    devices[d].capacity = bytes_each;
    devices[d].top = first_offset;
  }
}

const SimArena *sim_memory_arena(int device) {
  return device >= 0 && device < n_opened ? &devices[device].arena : NULL;
}

int sim_memory_device(uint64_t address) {
  for (int d = 0; d < n_opened; d++)
    if (address - devices[d].arena.base < devices[d].arena.span) return d;
  return -1;
}

// Index of the first live range that begins behind the offset.
static int behind(const Device *device, uint64_t offset) {
  int low = 0, high = device->n_live;
  while (low < high) {
    int middle = (low + high) / 2;
    if (device->live[middle].offset > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}

// Room of so many bytes, unallocated bytes on both sides: where nobody ever was, else between live ranges.
static bool find_room(Device *device, uint64_t bytes, uint64_t *out) {
  if (device->top + bytes <= device->arena.span) {
    *out = device->top;
    device->top += bytes;
    return true;
  }
  uint64_t at = first_offset;
  for (int k = 0; k <= device->n_live; k++) {
    uint64_t end = k < device->n_live ? device->live[k].offset : device->arena.span;
    if (end >= at + bytes) {
      *out = at;
      return true;
    }
    at = round_up(device->live[k].offset + device->live[k].bytes + 1, ALIGNMENT);
  }
  return false;
}

bool sim_memory_alloc(int d, uint64_t bytes, uint64_t *out_address) {
  if (d < 0 || d >= n_opened || !bytes) return false;
  Device *device = &devices[d];
  if (bytes > device->capacity - device->used) return false;
  uint64_t offset;
  if (!find_room(device, round_up(bytes + 1, ALIGNMENT), &offset)) return false;
  if (device->n_live == device->room_live) {
    device->room_live = device->room_live ? 2 * device->room_live : 64;
    device->live = realloc(device->live, sizeof *device->live * (size_t)device->room_live);
    if (!device->live) abort();
  }
  int k = behind(device, offset);
  memmove(device->live + k + 1, device->live + k, sizeof *device->live * (size_t)(device->n_live - k));
  device->live[k] = (Range){offset, bytes};
  device->n_live++;
  memset(device->arena.bytes - device->arena.span + offset, SIM_FRESH, bytes);
  device->used += bytes;
  if (device->used > device->peak) device->peak = device->used;
  *out_address = device->arena.base + offset;
  return true;
}

// Zeroes a range and gives its whole pages back.
static void wipe(uint8_t *bytes, uint64_t n) {
  uint8_t *from = (uint8_t *)round_up((uintptr_t)bytes, 4096), *to = (uint8_t *)((uintptr_t)(bytes + n) / 4096 * 4096);
  if (to > from && to - from >= 1 << 16 && !madvise(from, (size_t)(to - from), MADV_DONTNEED)) {
    memset(bytes, 0, (size_t)(from - bytes));
    memset(to, 0, (size_t)(bytes + n - to));
  } else {
    memset(bytes, 0, n);
  }
}

bool sim_memory_free(uint64_t address) {
  int d = sim_memory_device(address);
  if (d < 0) return false;
  Device *device = &devices[d];
  uint64_t offset = address - device->arena.base;
  int k = behind(device, offset) - 1;
  if (k < 0 || device->live[k].offset != offset) return false;
  Range range = device->live[k];
  memmove(device->live + k, device->live + k + 1, sizeof *device->live * (size_t)(device->n_live - k - 1));
  device->n_live--;
  device->used -= range.bytes;
  device->freed[device->n_freed++ % FREED_KEPT] = range;
  wipe(device->arena.bytes + offset, range.bytes);
  wipe(device->arena.bytes - device->arena.span + offset, range.bytes);
  return true;
}

uint64_t sim_memory_used(int device) { return devices[device].used; }
uint64_t sim_memory_peak(int device) { return devices[device].peak; }
uint64_t sim_memory_capacity(int device) { return devices[device].capacity; }
int sim_memory_leaks(int device) { return devices[device].n_live; }

bool sim_memory_find(uint64_t address, uint64_t *out_start, uint64_t *out_bytes) {
  int d = sim_memory_device(address);
  if (d < 0) return false;
  uint64_t offset = address - devices[d].arena.base;
  int k = behind(&devices[d], offset) - 1;
  if (k < 0 || offset - devices[d].live[k].offset >= devices[d].live[k].bytes) return false;
  *out_start = devices[d].arena.base + devices[d].live[k].offset;
  *out_bytes = devices[d].live[k].bytes;
  return true;
}

void sim_memory_describe(uint64_t address, char *out, size_t n_out) {
  int d = sim_memory_device(address);
  uint64_t start, bytes;
  if (d < 0) {
    snprintf(out, n_out, "in no device's memory");
    return;
  }
  if (sim_memory_find(address, &start, &bytes)) {
    snprintf(out, n_out, "byte %llu of an allocation of %llu bytes on device %d", (unsigned long long)(address - start),
             (unsigned long long)bytes, d);
    return;
  }
  const Device *device = &devices[d];
  uint64_t offset = address - device->arena.base;
  uint64_t n = device->n_freed < FREED_KEPT ? device->n_freed : FREED_KEPT;
  for (uint64_t k = 1; k <= n; k++) {
    Range range = device->freed[(device->n_freed - k) % FREED_KEPT];
    if (offset - range.offset < range.bytes) {
      snprintf(out, n_out, "in memory that was freed: byte %llu of %llu bytes on device %d",
               (unsigned long long)(offset - range.offset), (unsigned long long)range.bytes, d);
      return;
    }
  }
  int k = behind(device, offset);
  uint64_t after = k > 0 ? offset - device->live[k - 1].offset - device->live[k - 1].bytes : UINT64_MAX;
  uint64_t before = k < device->n_live ? device->live[k].offset - offset : UINT64_MAX;
  if (after == UINT64_MAX && before == UINT64_MAX) snprintf(out, n_out, "on device %d, which has nothing allocated", d);
  else if (after <= before)
    snprintf(out, n_out, "%llu bytes past an allocation of %llu bytes on device %d", (unsigned long long)after,
             (unsigned long long)device->live[k - 1].bytes, d);
  else
    snprintf(out, n_out, "%llu bytes before an allocation of %llu bytes on device %d", (unsigned long long)before,
             (unsigned long long)device->live[k].bytes, d);
}

void *sim_memory_range(uint64_t address, uint64_t bytes, SimAccess access, char *why, size_t n_why) {
  int d = sim_memory_device(address);
  char where[160];
  if (d < 0 || address - devices[d].arena.base + bytes > devices[d].arena.span) {
    snprintf(why, n_why, "%s of %llu bytes at 0x%llx, %s", access == SIM_READ ? "read" : "write",
             (unsigned long long)bytes, (unsigned long long)address, "in no device's memory");
    return NULL;
  }
  uint64_t offset = address - devices[d].arena.base, start, size;
  uint8_t *shadow = devices[d].arena.bytes - devices[d].arena.span + offset;
  if (bytes && (!sim_memory_find(address, &start, &size) || address - start + bytes > size)) {
    uint64_t bad = 0;
    while (bad + 1 < bytes && shadow[bad] != SIM_DEAD) bad++;
    sim_memory_describe(address + bad, where, sizeof where);
    snprintf(why, n_why, "%s of %llu bytes at 0x%llx: its byte %llu lies %s", access == SIM_READ ? "read" : "write",
             (unsigned long long)bytes, (unsigned long long)address, (unsigned long long)bad, where);
    return NULL;
  }
  if (access == SIM_WRITE) {
    memset(shadow, SIM_WRITTEN, bytes);
  } else {
    for (uint64_t k = 0; k < bytes; k++)
      if (shadow[k] != SIM_WRITTEN) {
        sim_memory_describe(address + k, where, sizeof where);
        snprintf(why, n_why, "read of %llu bytes at 0x%llx: its byte %llu was never written (%s)",
                 (unsigned long long)bytes, (unsigned long long)address, (unsigned long long)k, where);
        return NULL;
      }
  }
  return devices[d].arena.bytes + offset;
}
