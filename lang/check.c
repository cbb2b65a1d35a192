#include "lang/file.h"
void check_file(LangFile *file, Diag *diag) {
  (void)file;
  (void)diag;
}
