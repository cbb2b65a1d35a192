# Builds sgc and sgrun. `make demo` sets up, builds and runs the main job; `make test` runs the tests.
BUILD ?= build
CC = gcc
MODE ?= release
CFLAGS_release = -O2 -DNDEBUG
CFLAGS_asan = -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
hdf5_cflags := $(shell pkg-config --cflags hdf5-serial 2>/dev/null || echo -I/usr/include/hdf5/serial)
hdf5_libs := $(shell pkg-config --libs hdf5-serial 2>/dev/null || echo -lhdf5_serial)
CFLAGS = -std=gnu11 -g -Wall -Wextra -Werror -D_GNU_SOURCE -I. -I$(BUILD) -MMD -MP $(hdf5_cflags) $(CFLAGS_$(MODE))
LDLIBS = -Wl,--as-needed -lpng -ljpeg -lcjson -lprotobuf-c -lsqlite3 $(hdf5_libs) -lminizip -lz -lm -ldl -lpthread

rooms = lang compiler runtime
sources_lang = $(wildcard lang/*.c) $(BUILD)/lang/lex.c $(BUILD)/lang/parse.c
sources_compiler = $(wildcard compiler/*.c compiler/*/*.c compiler/*/*/*.c)
sources_runtime = $(wildcard runtime/*.c runtime/*/*.c) $(BUILD)/runtime/report/tensorboard.pb-c.c
objects = $(patsubst %.c,$(BUILD)/%.o,$(patsubst $(BUILD)/%,%,$(1)))
libraries = $(BUILD)/liblang.a $(BUILD)/libcompiler.a $(BUILD)/libruntime.a
shared_tools = $(call objects,$(wildcard tools/cli*.c tools/common*.c))
tests = $(patsubst %.c,$(BUILD)/%,$(wildcard tests/*/test_*.c))

all: $(BUILD)/sgc $(BUILD)/sgrun

define library
$(BUILD)/lib$(1).a: $(call objects,$(sources_$(1)))
	@rm -f $$@ && ar qcs $$@ $$^
endef
$(foreach room,$(rooms),$(eval $(call library,$(room))))

$(BUILD)/sgc: $(call objects,$(wildcard tools/sgc*.c)) $(shared_tools) $(libraries)
	@echo "ld $@" && $(CC) $(CFLAGS) -o $@ $(filter %.o,$^) -L$(BUILD) -llang -lcompiler -lruntime $(LDLIBS)
$(BUILD)/sgrun: $(call objects,$(wildcard tools/sgrun*.c)) $(shared_tools) $(libraries)
	@echo "ld $@" && $(CC) $(CFLAGS) -o $@ $(filter %.o,$^) -L$(BUILD) -llang -lcompiler -lruntime $(LDLIBS)

# Compared with our own declarations; nothing else is built with them.
CUDA_HOME ?= /usr/local/cuda
$(BUILD)/tests/runtime/test_cuda_api.o: CFLAGS += $(if $(wildcard $(CUDA_HOME)/include/cuda.h),-isystem $(CUDA_HOME)/include)

# The loader's inner loops are long enough for the vectoriser's full effort.
$(BUILD)/runtime/data/augment.o: CFLAGS_release = -O3

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "cc $@" && $(CC) $(CFLAGS) -c -o $@ $<
$(BUILD)/%.o: $(BUILD)/%.c
	@echo "cc $@" && $(CC) $(CFLAGS) -Wno-sign-compare -Wno-unused-function -c -o $@ $<

$(BUILD)/lang/parse.c $(BUILD)/lang/parse.h &: lang/parse.y
	@mkdir -p $(@D)
	bison -Wall -Werror -o $(BUILD)/lang/parse.c --defines=$(BUILD)/lang/parse.h $<
$(BUILD)/lang/lex.c $(BUILD)/lang/lex.h &: lang/lex.l $(BUILD)/lang/parse.h
	@mkdir -p $(@D)
	flex -o $(BUILD)/lang/lex.c --header-file=$(BUILD)/lang/lex.h $<
$(call objects,$(wildcard lang/*.c)): | $(BUILD)/lang/parse.h $(BUILD)/lang/lex.h

$(BUILD)/runtime/report/tensorboard.pb-c.c $(BUILD)/runtime/report/tensorboard.pb-c.h &: runtime/report/tensorboard.proto
	@mkdir -p $(@D)
	protoc-c --c_out=$(BUILD) $<
$(call objects,$(wildcard runtime/report/*.c)): | $(BUILD)/runtime/report/tensorboard.pb-c.h

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(shared_tools) $(libraries)
	@echo "ld $@" && $(CC) $(CFLAGS) -o $@ $(filter %.o,$^) -L$(BUILD) -llang -lcompiler -lruntime $(LDLIBS)

# The simulated GPU: a shared library that tests open in the place of libcuda, cuBLASLt and NCCL. Its driver half needs
# the CUDA toolkit's headers; without them there is no library, and what needs it skips.
cuda_include := $(firstword $(patsubst %/cuda.h,%,$(wildcard $(dir $(realpath $(shell command -v nvcc)))../include/cuda.h \
	/usr/local/cuda/include/cuda.h /usr/include/cuda.h)))
cuda_parts = driver stream $(if $(wildcard $(cuda_include)/cublasLt.h /usr/include/cublasLt.h),blas) \
	$(if $(wildcard $(cuda_include)/nccl.h /usr/include/nccl.h),nccl)
sources_driver = $(foreach part,driver stream blas nccl,$(wildcard tests/simgpu/$(part)_*.c))
sources_machine = $(filter-out tests/simgpu/test_% $(sources_driver),$(wildcard tests/simgpu/*.c)) \
	$(addprefix runtime/base/,arena.c hash.c status.c text.c)
tests_driver = $(foreach part,driver blas nccl,$(patsubst %.c,$(BUILD)/%,$(wildcard tests/simgpu/test_$(part)*.c)))
tests_machine = $(filter-out $(tests_driver),$(patsubst %.c,$(BUILD)/%,$(wildcard tests/simgpu/test_*.c)))
objects_machine = $(patsubst %.c,$(BUILD)/pic/%.o,$(sources_machine))
objects_driver = $(foreach part,$(cuda_parts),$(patsubst %.c,$(BUILD)/pic/%.o,$(wildcard tests/simgpu/$(part)_*.c)))
simgpu = $(if $(cuda_include),$(BUILD)/libsimgpu.so)
$(BUILD)/pic/%.o: %.c
	@mkdir -p $(@D)
	@echo "cc $@" && $(CC) $(CFLAGS) -fPIC -c -o $@ $<
$(BUILD)/pic/tests/simgpu/kernel_text.o: $(wildcard tests/simgpu/kernel_*.h)
$(objects_driver) $(addsuffix .o,$(tests_driver)): CFLAGS += $(addprefix -isystem ,$(cuda_include))
$(BUILD)/pic/tests/simgpu/blas_gemm.o: CFLAGS_release = -O3
$(BUILD)/libsimgpu.so: $(objects_machine) $(objects_driver)
	@echo "ld $@" && $(CC) $(CFLAGS) -shared -Wl,-z,nodelete -o $@ $^ -lm -ldl -lpthread
$(tests_machine): $(objects_machine)
$(tests_driver): | $(simgpu)

$(BUILD)/golden: $(call objects,$(wildcard tests/golden/*.c)) $(libraries)
	@echo "ld $@" && $(CC) $(CFLAGS) -o $@ $(filter %.o,$^) -L$(BUILD) -llang -lcompiler -lruntime $(LDLIBS)
$(BUILD)/count_instructions: $(call objects,tests/budget/count_instructions.c) $(libraries)
	@echo "ld $@" && $(CC) $(CFLAGS) -o $@ $(filter %.o,$^) -L$(BUILD) -llang -lcompiler -lruntime $(LDLIBS)
$(BUILD)/bench_contract: $(call objects,tests/bench/bench_contract.c) $(libraries)
	@echo "ld $@" && $(CC) $(CFLAGS) -o $@ $(filter %.o,$^) -L$(BUILD) -llang -lcompiler -lruntime $(LDLIBS)
$(BUILD)/run_model: $(call objects,tests/bench/run_model.c) $(libraries)
	@echo "ld $@" && $(CC) $(CFLAGS) -o $@ $(filter %.o,$^) -L$(BUILD) -llang -lcompiler -lruntime $(LDLIBS)
$(BUILD)/machine: $(call objects,tests/bench/machine.c) $(libraries)
	@echo "ld $@" && $(CC) $(CFLAGS) -o $@ $(filter %.o,$^) -L$(BUILD) -llang -lcompiler -lruntime $(LDLIBS)
$(BUILD)/draw: $(call objects,tests/bench/draw.c) $(libraries)
	@echo "ld $@" && $(CC) $(CFLAGS) -o $@ $(filter %.o,$^) -L$(BUILD) -llang -lcompiler -lruntime $(LDLIBS)
$(BUILD)/bench_loader: $(call objects,tests/bench/bench_loader.c) $(libraries)
	@echo "ld $@" && $(CC) $(CFLAGS) -o $@ $(filter %.o,$^) -L$(BUILD) -llang -lcompiler -lruntime $(LDLIBS)

# Made for an ARM machine, which qemu emulates (tests/cpu/all.sh); nothing where its libraries are not at hand.
neon_whole = $(addprefix tests/compiler/test_,contract exec kernel kernel_math passes random_nets steady step target winograd)
neon_make = $(MAKE) BUILD=$(BUILD)/neon CC="aarch64-linux-gnu-gcc --sysroot=$(abspath $(BUILD))/sysroot" CFLAGS_release=-O1 \
	hdf5_cflags=-I=/usr/include/hdf5/serial hdf5_libs=-lhdf5_serial
sysroot:
	sh tools/setup.sh sysroot $(BUILD)
neon: sysroot
	+@[ ! -d $(BUILD)/sysroot ] || $(neon_make) $(addprefix $(BUILD)/neon/,golden $(if $(WHOLE),$(neon_whole)))

# ---- jobs

programs: $(BUILD)/sgc $(BUILD)/sgrun $(BUILD)/golden $(BUILD)/count_instructions $(BUILD)/draw $(simgpu) $(tests)

# Everything from a bare Debian 12: set-up, build, a picture of a network, training on rooms, depth of photographs.
demo:
	sh tools/setup.sh build $(BUILD)
	$(MAKE) -j2 all
	sh tools/setup.sh photos $(BUILD)
	sh tools/demo.sh $(BUILD)

sanitized:
	@$(MAKE) BUILD=$(BUILD)/asan MODE=asan programs

# All tests, in the release build and under the address and undefined-behaviour sanitizers. Ends with the tally.
# All is built by one make, so that no core waits; sysroot, which downloads, is the third job.
test:
	sh tools/setup.sh build $(BUILD)
	sh tools/setup.sh test $(BUILD)
	$(MAKE) -j3 neon sanitized programs
	@sh tests/all.sh $(BUILD)

# A test program with one changed source in front of the libraries (tests/faults/plant.py).
plant:
	@$(CC) $(CFLAGS) -O0 -g0 -Wno-error -w -c -o $(PROGRAM).o $(SOURCE)
	@$(CC) $(CFLAGS) -o $(PROGRAM) $(BUILD)/tests/$(TEST).o $(PROGRAM).o $(shared_tools) -L$(BUILD) -llang -lcompiler -lruntime $(LDLIBS)

# The CPU back end for every kind of CPU: those that this machine is, and an emulated ARM machine. About half an hour.
test-cpu:
	sh tools/setup.sh build $(BUILD)
	sh tools/setup.sh test $(BUILD)
	$(MAKE) -j3 neon WHOLE=1 all $(BUILD)/golden
	@TALLY=$(abspath $(BUILD))/tally-cpu SGC_CACHE=$(abspath $(BUILD))/cache sh -c ': >"$$TALLY"; \
	  sh tests/cpu/all.sh $(BUILD) whole; sh tests/tally.sh "$$TALLY"'

# The CUDA back end on a GPU, or on the simulated one: every architecture, all golden cases, races, all counters.
test-gpu:
	sh tools/setup.sh build $(BUILD)
	sh tools/setup.sh test $(BUILD)
	$(MAKE) -j2 programs
	@TALLY=$(abspath $(BUILD))/tally-gpu SGC_CACHE=$(abspath $(BUILD))/cache TEST_WHOLE=1 sh -c ': >"$$TALLY"; \
	  for program in $(BUILD)/tests/simgpu/test_* $(BUILD)/tests/*/test_cuda* $(BUILD)/tests/compiler/test_random_nets; do \
	    case $$program in *.[do]) ;; *) sh tests/counted.sh gpu-$$(basename $$program) $$program ;; esac; done; \
	  sh tests/gpu/all.sh $(BUILD) whole; sh tests/tally.sh "$$TALLY"'

# What TensorBoard and W&B themselves make of our event files; installs them into a cache of its own.
test-tensorboard: $(BUILD)/sgrun
	SGC=$(abspath $(BUILD))/sgc SGRUN=$(abspath $(BUILD))/sgrun sh tests/tools/tensorboard.sh

# Real pictures of another renderer, MiniWorld, through check, training and evaluation (needs PyPI; not part of test).
test-miniworld:
	sh tools/setup.sh build $(BUILD)
	sh tools/setup.sh miniworld $(BUILD)
	$(MAKE) -j2 all
	SGC=$(abspath $(BUILD))/sgc SGRUN=$(abspath $(BUILD))/sgrun sh tests/tools/miniworld.sh

# Runs every golden case of a directory and writes results under the names that check.py reads.
golden: $(BUILD)/golden
	@test -n "$(IN)" -a -n "$(OUT)" || { echo "usage: make golden IN=DIR OUT=DIR"; exit 2; }
	$(BUILD)/golden $(IN) $(OUT)

# Rewrites the expected outputs of text tests; look at the difference before committing it.
bless: programs
	for test in $(tests); do BLESS=1 SGC=$(BUILD)/sgc SGRUN=$(BUILD)/sgrun $$test || true; done

# Ours against every peer on the CPU, in turn in one run: inference and training. Hours; OPTIONS='--mode inference --only bts'.
bench:
	sh tools/setup.sh build $(BUILD)
	$(MAKE) -j2 all $(BUILD)/run_model $(BUILD)/machine
	sh tests/bench/bench.sh $(BUILD) $(OPTIONS)

# Time and memory against pictures, batches and threads, with every point that is off a smooth line; about half an hour.
bench-growth:
	sh tools/setup.sh build $(BUILD)
	$(MAKE) -j2 all $(BUILD)/draw
	python3 tests/bench/growth.py $(BUILD) $(OPTIONS)

# A GPU against PyTorch on it, eager and compiled, in turn in one run.
bench-gpu:
	sh tools/setup.sh build $(BUILD)
	$(MAKE) -j2 all $(BUILD)/run_model $(BUILD)/machine
	sh tests/bench/bench.sh $(BUILD) --device cuda:0 $(OPTIONS)

# The loader against PyTorch's DataLoader, interleaved in one run.
bench-loader:
	sh tools/setup.sh build $(BUILD)
	$(MAKE) -j2 all $(BUILD)/bench_loader
	sh tests/bench/bench_loader.sh $(BUILD)

# The study of stacked depth on synthetic rooms: base learners, stacks, and the report in build/study.
study:
	sh tools/setup.sh build $(BUILD)
	$(MAKE) -j2 all
	SGC_CACHE=$${SGC_CACHE:-$(CURDIR)/$(BUILD)/cache} $(BUILD)/sgrun study models/study_rooms.net -o $(BUILD)/study

# Speed of single contraction kernels against the multiply-add peak.
bench-kernels: $(BUILD)/bench_contract
	$(BUILD)/bench_contract

format:
	clang-format -i $(wildcard */*.[ch] */*/*.[ch])

clean:
	rm -rf $(BUILD)

.PHONY: all programs sysroot neon sanitized plant demo test test-cpu test-gpu test-miniworld test-tensorboard golden study bless bench bench-growth bench-gpu bench-loader bench-kernels format clean
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' -type f 2>/dev/null)
