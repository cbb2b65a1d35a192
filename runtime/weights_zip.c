// Zip archives in memory through minizip.
#include "runtime/weights_zip.h"

#include <minizip/unzip.h>
#include <string.h>
#include <zlib.h>

#include "runtime/base/strmap.h"

// Deflating shrinks at most this much, so larger claims are lies.
enum { MAX_RATIO = 1032, MAX_ENTRY_NAME = 512 };

struct ZipArchive {
  Arena *arena;
  const char *bytes;
  int64_t size, at; // at: where minizip reads
  int64_t budget;   // bytes that may still be inflated
  unzFile unzip;
  StrMap *places; // name -> unz64_file_pos
};

// ---- the archive's bytes as a file for minizip

static voidpf memory_open(voidpf opaque, const void *name, int mode) {
  (void)name, (void)mode;
  return opaque;
}

static uLong memory_read(voidpf opaque, voidpf stream, void *out, uLong size) {
  ZipArchive *zip = stream;
  (void)opaque;
  int64_t left = zip->at < zip->size ? zip->size - zip->at : 0;
  int64_t n = size < (uLong)left ? (int64_t)size : left;
  if (n) memcpy(out, zip->bytes + zip->at, (size_t)n);
  zip->at += n;
  return (uLong)n;
}

static ZPOS64_T memory_tell(voidpf opaque, voidpf stream) {
  (void)opaque;
  return (ZPOS64_T)((ZipArchive *)stream)->at;
}

static long memory_seek(voidpf opaque, voidpf stream, ZPOS64_T offset, int origin) {
  ZipArchive *zip = stream;
  (void)opaque;
  int64_t base = origin == ZLIB_FILEFUNC_SEEK_CUR ? zip->at : origin == ZLIB_FILEFUNC_SEEK_END ? zip->size : 0;
  if (offset > (ZPOS64_T)(zip->size - base)) return -1;
  zip->at = base + (int64_t)offset;
  return 0;
}

static int memory_close(voidpf opaque, voidpf stream) {
  (void)opaque, (void)stream;
  return 0;
}

// ---- the directory

static Status read_directory(ZipArchive *zip) {
  int code = unzGoToFirstFile(zip->unzip);
  for (; code == UNZ_OK; code = unzGoToNextFile(zip->unzip)) {
    unz_file_info64 info;
    unz64_file_pos place;
    char name[MAX_ENTRY_NAME];
    if (unzGetCurrentFileInfo64(zip->unzip, &info, name, sizeof name, NULL, 0, NULL, 0) ||
        unzGetFilePos64(zip->unzip, &place))
      break;
    if (info.size_filename >= sizeof name) continue; // nothing that a weight file needs is called so
    name[info.size_filename] = 0;
    if (strmap_get(zip->places, name)) return status_make(EXIT_WEIGHTS, "the archive holds two entries of one name");
    strmap_set(zip->places, name, arena_memdup(zip->arena, &place, sizeof place));
  }
  if (code != UNZ_END_OF_LIST_OF_FILE) return status_make(EXIT_WEIGHTS, "the archive's directory is damaged");
  return STATUS_OK;
}

Status zip_open(Arena *arena, const char *bytes, int64_t size, ZipArchive **out) {
  ZipArchive *zip = ARENA_ARRAY(arena, ZipArchive, 1);
  *zip = (ZipArchive){.arena = arena, .bytes = bytes, .size = size, .places = strmap_new(arena)};
  zip->budget = size > INT64_MAX / MAX_RATIO ? INT64_MAX : size * MAX_RATIO;
  zlib_filefunc64_def functions = {memory_open, memory_read,  NULL,         memory_tell,
                                   memory_seek, memory_close, memory_close, zip};
  zip->unzip = unzOpen2_64("", &functions);
  if (!zip->unzip)
    return status_make(EXIT_WEIGHTS, "the zip archive has no directory at its end; the file is truncated or damaged");
  Status status = read_directory(zip);
  if (status) zip_close(zip);
  else *out = zip;
  return status;
}

void zip_close(ZipArchive *zip) {
  if (zip && zip->unzip) unzClose(zip->unzip);
}

int zip_count(const ZipArchive *zip) { return strmap_count(zip->places); }
const char *zip_name(const ZipArchive *zip, int i) { return strmap_key(zip->places, i); }

// ---- entries

static Status inflate_entry(ZipArchive *zip, const char *name, const unz_file_info64 *info, const char **out) {
  if (info->uncompressed_size / MAX_RATIO > info->compressed_size || info->compressed_size > (ZPOS64_T)zip->size ||
      info->uncompressed_size > (ZPOS64_T)zip->budget)
    return status_make(EXIT_WEIGHTS, "the entry '%s' claims an impossible size", name);
  int64_t size = (int64_t)info->uncompressed_size, done = 0;
  zip->budget -= size;
  char *bytes = arena_alloc(zip->arena, (size_t)size + 1);
  while (done < size) {
    int64_t piece = size - done < 1 << 30 ? size - done : 1 << 30;
    int n = unzReadCurrentFile(zip->unzip, bytes + done, (unsigned)piece);
    if (n <= 0) return status_make(EXIT_WEIGHTS, "the entry '%s' is damaged or truncated", name);
    done += n;
  }
  *out = bytes;
  return STATUS_OK;
}

static Status find_stored(const ZipArchive *zip, const char *name, const unz_file_info64 *info, const char **out) {
  ZPOS64_T begin = unzGetCurrentFileZStreamPos64(zip->unzip), size = info->uncompressed_size;
  if (begin > (ZPOS64_T)zip->size || size > (ZPOS64_T)zip->size - begin)
    return status_make(EXIT_WEIGHTS, "the entry '%s' reaches past the end of the file; the file is truncated", name);
  *out = zip->bytes + begin;
  return STATUS_OK;
}

Status zip_entry(ZipArchive *zip, const char *name, const char **out_bytes, int64_t *out_size) {
  const unz64_file_pos *place = strmap_get(zip->places, name);
  unz_file_info64 info;
  if (!place) return status_make(EXIT_WEIGHTS, "the archive has no entry '%s'", name);
  if (unzGoToFilePos64(zip->unzip, place) || unzGetCurrentFileInfo64(zip->unzip, &info, NULL, 0, NULL, 0, NULL, 0))
    return status_make(EXIT_WEIGHTS, "the entry '%s' cannot be read; the archive's directory is damaged", name);
  if (info.flag & 1) return status_make(EXIT_WEIGHTS, "the entry '%s' is encrypted", name);
  if (info.compression_method != 0 && info.compression_method != Z_DEFLATED) // minizip would spin on some
    return status_make(EXIT_WEIGHTS, "the entry '%s' is compressed by method %lu; stored and deflated ones are read",
                       name, info.compression_method);
  if (unzOpenCurrentFile(zip->unzip)) return status_make(EXIT_WEIGHTS, "the header of the entry '%s' is damaged", name);
  Status status;
  if (info.compression_method == 0) status = find_stored(zip, name, &info, out_bytes);
  else status = inflate_entry(zip, name, &info, out_bytes);
  unzCloseCurrentFile(zip->unzip);
  *out_size = (int64_t)info.uncompressed_size;
  if (status) return status;
  if (crc32_z(crc32_z(0, NULL, 0), (const Bytef *)*out_bytes, (size_t)*out_size) != info.crc)
    return status_make(EXIT_WEIGHTS, "the entry '%s' is damaged: its sum does not fit", name);
  return STATUS_OK;
}
