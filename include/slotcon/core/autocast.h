// Mixed precision for the products of a network.
#pragma once

#include <ATen/autocast_mode.h>
#include <c10/core/DeviceType.h>
#include <c10/util/Exception.h>

namespace slotcon {

/// Lets LibTorch run convolutions and products of matrices on a kind of device in a half type for
/// the life of the object, as Python's torch.autocast does.
///
/// `type` is bfloat16 or float16; float32 leaves things as they are. Only the forward pass belongs
/// in the scope: the backward pass takes each operation's type by itself. Scopes nest, also with
/// others that use LibTorch's autocast. slotcon's losses compute in float32 all the same, see
/// core/precision.h. Throws c10::TypeError for another type.
class Autocast {
 public:
  Autocast(c10::DeviceType device, at::ScalarType type)
      : device_(device),
        was_enabled_(at::autocast::is_autocast_enabled(device)),
        previous_type_(at::autocast::get_autocast_dtype(device)) {
    TORCH_CHECK_TYPE(type == at::kFloat || type == at::kBFloat16 || type == at::kHalf,
                     "Autocast: expected Float, BFloat16 or Half, got ", type);
    at::autocast::increment_nesting();
    if (type == at::kFloat) return;
    at::autocast::set_autocast_dtype(device, type);
    at::autocast::set_autocast_enabled(device, true);
  }

  ~Autocast() {
    at::autocast::set_autocast_enabled(device_, was_enabled_);
    at::autocast::set_autocast_dtype(device_, previous_type_);
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  }

  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  c10::DeviceType device_;
  bool was_enabled_;
  at::ScalarType previous_type_;
};

}  // namespace slotcon
