// Handles, descriptors and their attributes.
#include "tests/simgpu/blas_problem.h"
#include "tests/simgpu/driver_handle.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { DESC = 0x73696d44, LAYOUT = 0x73696d4c, PREFERENCE = 0x73696d50 }; // magic

_Static_assert(sizeof(BlasDesc) <= sizeof(cublasLtMatmulDescOpaque_t), "desc");
_Static_assert(sizeof(BlasLayout) <= sizeof(cublasLtMatrixLayoutOpaque_t), "layout");
_Static_assert(sizeof(BlasPreference) <= sizeof(cublasLtMatmulPreferenceOpaque_t), "preference");
_Static_assert(sizeof(BlasAlgo) <= sizeof(cublasLtMatmulAlgo_t), "algo");

const BlasDesc *blas_desc(const void *handle) {
  const BlasDesc *desc = handle;
  return desc && desc->magic == DESC ? desc : NULL;
}
const BlasLayout *blas_layout(const void *handle) {
  const BlasLayout *layout = handle;
  return layout && layout->magic == LAYOUT ? layout : NULL;
}
const BlasPreference *blas_preference(const void *handle) {
  const BlasPreference *preference = handle;
  return preference && preference->magic == PREFERENCE ? preference : NULL;
}

// ---- the library

cublasStatus_t CUBLASWINAPI cublasLtCreate(cublasLtHandle_t *lightHandle) {
  Context *context;
  if (!lightHandle) return CUBLAS_STATUS_INVALID_VALUE;
  if (driver_enter(&context)) return CUBLAS_STATUS_NOT_INITIALIZED;
  Context **held = handle_new(HANDLE_BLAS, sizeof *held);
  *held = context;
  *lightHandle = (cublasLtHandle_t)held;
  driver_leave(CUDA_SUCCESS);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t CUBLASWINAPI cublasLtDestroy(cublasLtHandle_t lightHandle) {
  if (driver_enter(NULL)) return CUBLAS_STATUS_NOT_INITIALIZED;
  bool known = handle_is(lightHandle, HANDLE_BLAS);
  if (known) handle_free(lightHandle);
  driver_leave(CUDA_SUCCESS);
  return known ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
}

size_t CUBLASWINAPI cublasLtGetVersion(void) { return CUBLAS_VERSION; }
size_t CUBLASWINAPI cublasLtGetCudartVersion(void) { return CUDA_VERSION; }

const char *CUBLASWINAPI cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
  case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
  case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
  case CUBLAS_STATUS_ALLOC_FAILED: return "CUBLAS_STATUS_ALLOC_FAILED";
  case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
  case CUBLAS_STATUS_ARCH_MISMATCH: return "CUBLAS_STATUS_ARCH_MISMATCH";
  case CUBLAS_STATUS_MAPPING_ERROR: return "CUBLAS_STATUS_MAPPING_ERROR";
  case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
  case CUBLAS_STATUS_INTERNAL_ERROR: return "CUBLAS_STATUS_INTERNAL_ERROR";
  case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
  case CUBLAS_STATUS_LICENSE_ERROR: return "CUBLAS_STATUS_LICENSE_ERROR";
  default: return "CUBLAS_STATUS_UNKNOWN";
  }
}

const char *CUBLASWINAPI cublasLtGetStatusString(cublasStatus_t status) { return cublasLtGetStatusName(status); }

// ---- attributes

typedef struct Field {
  int attribute;
  size_t offset, bytes;
} Field;

#define FIELD(attribute, type, member)                                                                                 \
  { attribute, offsetof(type, member), sizeof(((type *)0)->member) }

static const Field desc_fields[] = {
    FIELD(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, BlasDesc, compute),
    FIELD(CUBLASLT_MATMUL_DESC_SCALE_TYPE, BlasDesc, scale),
    FIELD(CUBLASLT_MATMUL_DESC_POINTER_MODE, BlasDesc, pointer_mode),
    FIELD(CUBLASLT_MATMUL_DESC_TRANSA, BlasDesc, trans_a),
    FIELD(CUBLASLT_MATMUL_DESC_TRANSB, BlasDesc, trans_b),
    FIELD(CUBLASLT_MATMUL_DESC_TRANSC, BlasDesc, trans_c),
    FIELD(CUBLASLT_MATMUL_DESC_FILL_MODE, BlasDesc, fill),
    FIELD(CUBLASLT_MATMUL_DESC_EPILOGUE, BlasDesc, epilogue),
    FIELD(CUBLASLT_MATMUL_DESC_BIAS_POINTER, BlasDesc, bias),
    FIELD(CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, BlasDesc, bias_stride),
    FIELD(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, BlasDesc, bias_type),
    FIELD(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, BlasDesc, aux),
    FIELD(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, BlasDesc, aux_ld),
    FIELD(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, BlasDesc, aux_stride),
    FIELD(CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET, BlasDesc, sm_count),
    {0},
};

static const Field layout_fields[] = {
    FIELD(CUBLASLT_MATRIX_LAYOUT_TYPE, BlasLayout, type),
    FIELD(CUBLASLT_MATRIX_LAYOUT_ORDER, BlasLayout, order),
    FIELD(CUBLASLT_MATRIX_LAYOUT_ROWS, BlasLayout, rows),
    FIELD(CUBLASLT_MATRIX_LAYOUT_COLS, BlasLayout, cols),
    FIELD(CUBLASLT_MATRIX_LAYOUT_LD, BlasLayout, ld),
    FIELD(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, BlasLayout, batch),
    FIELD(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, BlasLayout, batch_stride),
    FIELD(CUBLASLT_MATRIX_LAYOUT_BATCH_MODE, BlasLayout, batch_mode),
    {0},
};

static const Field preference_fields[] = {
    FIELD(CUBLASLT_MATMUL_PREF_SEARCH_MODE, BlasPreference, search),
    FIELD(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, BlasPreference, workspace),
    FIELD(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, BlasPreference, reduction),
    FIELD(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, BlasPreference, align[0]),
    FIELD(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, BlasPreference, align[1]),
    FIELD(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, BlasPreference, align[2]),
    FIELD(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, BlasPreference, align[3]),
    FIELD(CUBLASLT_MATMUL_PREF_MAX_WAVES_COUNT, BlasPreference, waves),
    {0},
};

static const Field *find(const Field *fields, int attribute) {
  for (; fields->bytes; fields++)
    if (fields->attribute == attribute) return fields;
  return NULL;
}

static cublasStatus_t set(void *object, const Field *fields, int attribute, const void *value, size_t bytes) {
  const Field *field = find(fields, attribute);
  if (!object || !value) return CUBLAS_STATUS_INVALID_VALUE;
  if (!field) {
    driver_lock();
    driver_report("cuBLASLt: attribute %d is not simulated", attribute);
    driver_unlock();
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  if (bytes != field->bytes) return CUBLAS_STATUS_INVALID_VALUE;
  memcpy((char *)object + field->offset, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t get(const void *object, const Field *fields, int attribute, void *value, size_t bytes,
                          size_t *out_written) {
  const Field *field = find(fields, attribute);
  if (!object || !field || (!bytes && !out_written)) return CUBLAS_STATUS_INVALID_VALUE;
  if (out_written) *out_written = field->bytes;
  if (!bytes) return CUBLAS_STATUS_SUCCESS;
  if (!value || bytes != field->bytes) return CUBLAS_STATUS_INVALID_VALUE;
  memcpy(value, (const char *)object + field->offset, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

// An opaque struct on the heap.
static void *create(size_t bytes) {
  void *opaque = calloc(1, bytes);
  if (!opaque) abort();
  return opaque;
}

static cublasStatus_t destroy(void *opaque, bool known) {
  if (!known) return CUBLAS_STATUS_INVALID_VALUE;
  memset(opaque, 0, sizeof(uint64_t));
  free(opaque);
  return CUBLAS_STATUS_SUCCESS;
}

// ---- operations

cublasStatus_t CUBLASWINAPI cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t matmulDesc, size_t size,
                                                            cublasComputeType_t computeType, cudaDataType_t scaleType) {
  if (!matmulDesc || size < sizeof(BlasDesc)) return CUBLAS_STATUS_INVALID_VALUE;
  memset(matmulDesc, 0, size);
  *(BlasDesc *)matmulDesc = (BlasDesc){.magic = DESC,
                                       .compute = computeType,
                                       .scale = scaleType,
                                       .bias_type = -1,
                                       .epilogue = CUBLASLT_EPILOGUE_DEFAULT};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t CUBLASWINAPI cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *matmulDesc, cublasComputeType_t computeType,
                                                     cudaDataType_t scaleType) {
  if (!matmulDesc) return CUBLAS_STATUS_INVALID_VALUE;
  *matmulDesc = create(sizeof **matmulDesc);
  return cublasLtMatmulDescInit_internal(*matmulDesc, sizeof **matmulDesc, computeType, scaleType);
}

cublasStatus_t CUBLASWINAPI cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t matmulDesc) {
  return destroy(matmulDesc, blas_desc(matmulDesc));
}

cublasStatus_t CUBLASWINAPI cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t matmulDesc,
                                                           cublasLtMatmulDescAttributes_t attr, const void *buf,
                                                           size_t sizeInBytes) {
  return set((void *)blas_desc(matmulDesc), desc_fields, attr, buf, sizeInBytes);
}

cublasStatus_t CUBLASWINAPI cublasLtMatmulDescGetAttribute(cublasLtMatmulDesc_t matmulDesc,
                                                           cublasLtMatmulDescAttributes_t attr, void *buf,
                                                           size_t sizeInBytes, size_t *sizeWritten) {
  return get(blas_desc(matmulDesc), desc_fields, attr, buf, sizeInBytes, sizeWritten);
}

// ---- layouts

cublasStatus_t CUBLASWINAPI cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t matLayout, size_t size,
                                                              cudaDataType type, uint64_t rows, uint64_t cols,
                                                              int64_t ld) {
  if (!matLayout || size < sizeof(BlasLayout)) return CUBLAS_STATUS_INVALID_VALUE;
  memset(matLayout, 0, size);
  *(BlasLayout *)matLayout =
      (BlasLayout){.magic = LAYOUT, .type = type, .rows = rows, .cols = cols, .ld = ld, .batch = 1};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t CUBLASWINAPI cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *matLayout, cudaDataType type,
                                                       uint64_t rows, uint64_t cols, int64_t ld) {
  if (!matLayout) return CUBLAS_STATUS_INVALID_VALUE;
  *matLayout = create(sizeof **matLayout);
  return cublasLtMatrixLayoutInit_internal(*matLayout, sizeof **matLayout, type, rows, cols, ld);
}

cublasStatus_t CUBLASWINAPI cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t matLayout) {
  return destroy(matLayout, blas_layout(matLayout));
}

cublasStatus_t CUBLASWINAPI cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t matLayout,
                                                             cublasLtMatrixLayoutAttribute_t attr, const void *buf,
                                                             size_t sizeInBytes) {
  return set((void *)blas_layout(matLayout), layout_fields, attr, buf, sizeInBytes);
}

cublasStatus_t CUBLASWINAPI cublasLtMatrixLayoutGetAttribute(cublasLtMatrixLayout_t matLayout,
                                                             cublasLtMatrixLayoutAttribute_t attr, void *buf,
                                                             size_t sizeInBytes, size_t *sizeWritten) {
  return get(blas_layout(matLayout), layout_fields, attr, buf, sizeInBytes, sizeWritten);
}

// ---- preferences

cublasStatus_t CUBLASWINAPI cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t pref, size_t size) {
  if (!pref || size < sizeof(BlasPreference)) return CUBLAS_STATUS_INVALID_VALUE;
  memset(pref, 0, size);
  *(BlasPreference *)pref =
      (BlasPreference){.magic = PREFERENCE, .align = {256, 256, 256, 256}, .reduction = CUBLASLT_REDUCTION_SCHEME_MASK};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t CUBLASWINAPI cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *pref) {
  if (!pref) return CUBLAS_STATUS_INVALID_VALUE;
  *pref = create(sizeof **pref);
  return cublasLtMatmulPreferenceInit_internal(*pref, sizeof **pref);
}

cublasStatus_t CUBLASWINAPI cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t pref) {
  return destroy(pref, blas_preference(pref));
}

cublasStatus_t CUBLASWINAPI cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t pref,
                                                                 cublasLtMatmulPreferenceAttributes_t attr,
                                                                 const void *buf, size_t sizeInBytes) {
  return set((void *)blas_preference(pref), preference_fields, attr, buf, sizeInBytes);
}

cublasStatus_t CUBLASWINAPI cublasLtMatmulPreferenceGetAttribute(cublasLtMatmulPreference_t pref,
                                                                 cublasLtMatmulPreferenceAttributes_t attr, void *buf,
                                                                 size_t sizeInBytes, size_t *sizeWritten) {
  return get(blas_preference(pref), preference_fields, attr, buf, sizeInBytes, sizeWritten);
}
