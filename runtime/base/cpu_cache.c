// CPU caches: read from sysfs.
#include "runtime/base/cpu_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t cpu_cache_bytes(int level, int64_t fallback) {
  for (int i = 0; i < 8; i++) {
    char path[96], type[32] = "", size[32] = "";
    int found = 0;
    const char *const leaf[] = {"level", "type", "size"};
    char text[3][32] = {"", "", ""};
    for (int j = 0; j < 3; j++) {
      snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", i, leaf[j]);
      FILE *file = fopen(path, "r");
      if (!file) continue;
      if (fgets(text[j], sizeof text[j], file)) found++;
      fclose(file);
    }
    if (found < 3) continue;
    sscanf(text[1], "%31s", type);
    sscanf(text[2], "%31s", size);
    if (atoi(text[0]) != level || strcmp(type, "Instruction") == 0) continue;
    char *unit;
    int64_t n = strtoll(size, &unit, 10);
    if (*unit == 'K') n <<= 10;
    if (*unit == 'M') n <<= 20;
    if (n > 0) return n;
  }
  return fallback;
}
