// Which implementation computes a loss, and how a caller's wish meets what can run.
#pragma once

#include <c10/util/Exception.h>

#include <ostream>
#include <string>

namespace slotcon {

/// The implementation of a loss.
enum class Backend {
  kAuto,  ///< the fused kernel where one can run, else the reference; never throws for lack of one
  kReference,  ///< plain ATen operations: every device and floating dtype, differentiable twice
  kFused,  ///< the fused kernel; throws c10::NotImplementedError with the reason when it cannot run
};

inline std::ostream& operator<<(std::ostream& out, Backend backend) {
  switch (backend) {
    case Backend::kAuto:
      return out << "auto";
    case Backend::kReference:
      return out << "reference";
    case Backend::kFused:
      return out << "fused";
  }
  return out << "invalid";
}

/// What a kernel's `choose()` says of one call: whether a fused kernel can run it and, if not, why.
struct Choice {
  bool fused = false;
  std::string why_not;
};

/// True when the fused kernel is to run. `who` names the function in the error.
/// Throws c10::NotImplementedError when `backend` is kFused and `choice` says no.
inline bool use_fused(Backend backend, const Choice& choice, const char* who) {
  if (backend == Backend::kReference) return false;
  TORCH_CHECK_NOT_IMPLEMENTED(choice.fused || backend == Backend::kAuto, who,
                              ": Backend::kFused is unavailable: ", choice.why_not);
  return choice.fused;
}

}  // namespace slotcon
