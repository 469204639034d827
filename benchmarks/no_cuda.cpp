// What a program built without CUDA, or with a LibTorch without it, has in the place of a GPU.
#include <c10/util/Exception.h>

#include "benchmarks/device.h"
#include "benchmarks/published_roi_align_cuda.h"

namespace bench {

std::shared_ptr<const Device> make_cuda_device() {
  TORCH_CHECK(false, "slotcon_benchmarks is built without CUDA");
}

const char* published::roi_align_on_cuda(const RoiAlignOnCuda& /*call*/, void* /*stream*/) {
  return "built without CUDA";
}

}  // namespace bench
