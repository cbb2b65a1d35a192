// Zip archives in memory, for the readers of weight files: entries by name, stored or deflated.
#ifndef SG_WEIGHTS_ZIP_H
#define SG_WEIGHTS_ZIP_H

#include <stdint.h>

#include "runtime/base/arena.h"
#include "runtime/base/status.h"

typedef struct ZipArchive ZipArchive;

// Reads the directory of the archive in `bytes`, which must outlive it; it lives in the arena. Broken or truncated
// archives are EXIT_WEIGHTS. zip_close releases what is not in the arena; NULL is allowed.
Status zip_open(Arena *arena, const char *bytes, int64_t size, ZipArchive **out);
void zip_close(ZipArchive *zip);

int zip_count(const ZipArchive *zip);
const char *zip_name(const ZipArchive *zip, int i);

// An entry's bytes, checked against its sum: in the archive itself where it is stored, in the arena where it is
// deflated. EXIT_WEIGHTS where there is none of that name, it is damaged or encrypted, or it claims a size that
// deflating cannot reach; all entries together may not grow beyond what the archive's size allows either.
Status zip_entry(ZipArchive *zip, const char *name, const char **out_bytes, int64_t *out_size);

#endif
