// study: what a study block says, inside the room.
#ifndef SG_LANG_STUDY_H
#define SG_LANG_STUDY_H

#include "lang/file.h"

// "base", "variant", "scratch"; false for another word.
bool study_role(const char *word, LangRole *out);

#endif
