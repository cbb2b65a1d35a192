// Kernel bundle: the form of kept shared objects.
#include "runtime/kernel_bundle.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"

typedef struct Seal {
  char magic[8];
  int64_t n_keys;
  Hash hash; // of everything before the seal
} Seal;
static const char seal_magic[8] = "sgcseal2";

Status bundle_write(const char *path, const void *object, size_t size, const Hash *keys, int n_keys) {
  Text file = {0};
  text_write(&file, object, size);
  text_write(&file, keys, sizeof *keys * (size_t)n_keys);
  Seal seal = {.n_keys = n_keys, .hash = hash_bytes(file.data, file.size)};
  memcpy(seal.magic, seal_magic, sizeof seal.magic);
  text_write(&file, &seal, sizeof seal);
  Status status = file_write(path, file.data, file.size);
  text_free(&file);
  return status;
}

static bool seal_fits(const Seal *seal, int64_t size) {
  return !memcmp(seal->magic, seal_magic, sizeof seal->magic) && seal->n_keys > 0 &&
         seal->n_keys <= (size - (int64_t)sizeof *seal) / (int64_t)sizeof(Hash);
}

int bundle_keys(const char *path, Arena *arena, Hash **out_keys) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  struct stat info;
  Seal seal;
  int n = 0;
  off_t end = fstat(fd, &info) ? 0 : info.st_size - (off_t)sizeof seal;
  if (end > 0 && pread(fd, &seal, sizeof seal, end) == sizeof seal && seal_fits(&seal, info.st_size)) {
    size_t bytes = sizeof(Hash) * (size_t)seal.n_keys;
    *out_keys = ARENA_ARRAY(arena, Hash, seal.n_keys);
    if (pread(fd, *out_keys, bytes, end - (off_t)bytes) == (ssize_t)bytes) n = (int)seal.n_keys;
  }
  close(fd);
  return n;
}

bool bundle_read(const char *path, Text *out) {
  Text file = {0};
  Status status = file_read(path, &file);
  bool is_whole = false;
  if (!status && file.size > sizeof(Seal)) {
    Seal seal;
    size_t size = file.size - sizeof seal;
    memcpy(&seal, file.data + size, sizeof seal);
    Hash hash = hash_bytes(file.data, size);
    is_whole = seal_fits(&seal, (int64_t)file.size) && hash.high == seal.hash.high && hash.low == seal.hash.low;
    if (is_whole && out) text_write(out, file.data, size - sizeof(Hash) * (size_t)seal.n_keys);
  }
  status_free(status);
  text_free(&file);
  return is_whole;
}

bool bundle_is_whole(const char *path) { return bundle_read(path, NULL); }
