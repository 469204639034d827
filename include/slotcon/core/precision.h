// The precision contract: whatever the input type, the losses compute in float32 (float64 for
// double).
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/DispatchKeySet.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/util/Exception.h>

namespace slotcon {

/// The type in which a loss computes on inputs of type `input`: float64 for float64, else float32.
/// Throws c10::TypeError, naming `who`, for a type that is not floating.
inline at::ScalarType compute_type(at::ScalarType input, const char* who) {
  TORCH_CHECK_TYPE(at::isFloatingType(input), who, ": expected a floating dtype, got ", input);
  return input == at::kDouble ? at::kDouble : at::kFloat;
}

/// Keeps autocast from lowering the precision of what runs in this scope; the losses convert
/// themselves.
class AutocastOff {
 public:
  AutocastOff() : guard_(c10::autocast_dispatch_keyset) {}

 private:
  c10::impl::ExcludeDispatchKeyGuard guard_;
};

}  // namespace slotcon
