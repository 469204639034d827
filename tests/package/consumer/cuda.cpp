// Somebody else's program that wants the CUDA kernels.
#include <slotcon/kernel/cuda/backend.h>

#include <iostream>

int main() {
  const bool linked = slotcon::kernel::cuda::kernels_linked();
  std::cout << (linked ? "ok    " : "WRONG ") << "kernels linked\n";
  return linked ? 0 : 1;
}
