# Builds sgc and sgrun. `make demo` sets up, builds and runs the main job; `make test` runs the tests.
BUILD ?= build
CC = gcc
MODE ?= release
CFLAGS_release = -O2
CFLAGS_asan = -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS = -std=gnu11 -g -Wall -Wextra -Werror -D_GNU_SOURCE -I. -I$(BUILD) -MMD -MP $(CFLAGS_$(MODE))
LDLIBS = -lpng -ljpeg -lcjson -lm -ldl -lpthread

rooms = lang compiler runtime
sources_lang = $(wildcard lang/*.c) $(BUILD)/lang/lex.c $(BUILD)/lang/parse.c
sources_compiler = $(wildcard compiler/*.c compiler/*/*.c)
sources_runtime = $(wildcard runtime/*.c runtime/*/*.c)
objects = $(patsubst %.c,$(BUILD)/%.o,$(patsubst $(BUILD)/%,%,$(1)))
libraries = $(BUILD)/liblang.a $(BUILD)/libcompiler.a $(BUILD)/libruntime.a
shared_tools = $(call objects,$(wildcard tools/cli*.c tools/common*.c))
tests = $(patsubst %.c,$(BUILD)/%,$(wildcard tests/*/test_*.c))

all: $(BUILD)/sgc $(BUILD)/sgrun

define library
$(BUILD)/lib$(1).a: $(call objects,$(sources_$(1)))
	@rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach room,$(rooms),$(eval $(call library,$(room))))

$(BUILD)/sgc: $(call objects,$(wildcard tools/sgc*.c)) $(shared_tools) $(libraries)
	$(CC) $(CFLAGS) -o $@ $(filter %.o,$^) -L$(BUILD) -llang -lcompiler -lruntime $(LDLIBS)
$(BUILD)/sgrun: $(call objects,$(wildcard tools/sgrun*.c)) $(shared_tools) $(libraries)
	$(CC) $(CFLAGS) -o $@ $(filter %.o,$^) -L$(BUILD) -llang -lcompiler -lruntime $(LDLIBS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c -o $@ $<
$(BUILD)/%.o: $(BUILD)/%.c
	$(CC) $(CFLAGS) -Wno-sign-compare -Wno-unused-function -c -o $@ $<

$(BUILD)/lang/parse.c $(BUILD)/lang/parse.h: lang/parse.y
	@mkdir -p $(@D)
	bison -Wall -Werror -o $(BUILD)/lang/parse.c --defines=$(BUILD)/lang/parse.h $<
$(BUILD)/lang/lex.c $(BUILD)/lang/lex.h: lang/lex.l $(BUILD)/lang/parse.h
	@mkdir -p $(@D)
	flex -o $(BUILD)/lang/lex.c --header-file=$(BUILD)/lang/lex.h $<
$(call objects,$(wildcard lang/*.c)): | $(BUILD)/lang/parse.h $(BUILD)/lang/lex.h

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(shared_tools) $(libraries)
	$(CC) $(CFLAGS) -o $@ $(filter %.o,$^) -L$(BUILD) -llang -lcompiler -lruntime $(LDLIBS)

clean:
	rm -rf $(BUILD)

.PHONY: all clean
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
