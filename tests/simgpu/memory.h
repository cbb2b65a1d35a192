// Memory of the simulated devices: addresses that no host pointer equals, and a shadow that knows each byte's state.
//
// An address is non-canonical for the host (its top bits carry the device), so that a host that dereferences one stops
// at once. Of every byte it is known whether it is allocated and whether it was ever written. Freed ranges stay dead
// until the arena has no other room.
#ifndef SIM_MEMORY_H
#define SIM_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIM_DEVICES = 16 };

typedef enum SimAccess { SIM_READ, SIM_WRITE } SimAccess;

// Sets aside the address ranges of so many devices of that capacity each (pages are taken as they are touched).
void sim_memory_open(int n_devices, uint64_t bytes_each);
// False if the device has not that much left. Allocations are 256 bytes aligned with unallocated bytes between them.
bool sim_memory_alloc(int device, uint64_t bytes, uint64_t *out_address);
// False if no allocation begins there.
bool sim_memory_free(uint64_t address);
uint64_t sim_memory_used(int device), sim_memory_peak(int device), sim_memory_capacity(int device);
int sim_memory_leaks(int device); // live allocations
// The device that an address belongs to, or -1.
int sim_memory_device(uint64_t address);
// Start and size of the live allocation that holds the address; false if none does.
bool sim_memory_find(uint64_t address, uint64_t *out_start, uint64_t *out_bytes);

// Host address of a range for copies, fills and library calls. Reads need every byte to be allocated and written,
// writes to be allocated, and mark it as written. NULL and a sentence in `why` where that does not hold.
void *sim_memory_range(uint64_t address, uint64_t bytes, SimAccess access, char *why, size_t n_why);

// ---- for the machine

// State of a byte. A byte that cp.async still has to write is pending (shared memory only).
enum { SIM_DEAD = 0, SIM_FRESH = 1, SIM_PENDING = 2, SIM_WRITTEN = 3 };

// The host's view of a device's address range: the byte at address base + k is bytes[k], its state bytes[k - span].
typedef struct SimArena {
  uint64_t base, span; // the span is a power of two
  uint8_t *bytes;
} SimArena;
const SimArena *sim_memory_arena(int device); // NULL if there is no such device

// "12 bytes past an allocation of 400 bytes", "in memory that was freed": where an address lies.
void sim_memory_describe(uint64_t address, char *out, size_t n_out);

#endif
