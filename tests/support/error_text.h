// The message of the error that a call throws.
#pragma once

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <string>
#include <type_traits>

/// The text of the `Error` that `call` throws, without a backtrace; "" and a failure if it does
/// not.
template <class Error, class Call>
std::string error_text(Call call) {
  try {
    call();
  } catch (const Error& error) {
    if constexpr (std::is_base_of_v<c10::Error, Error>) return error.what_without_backtrace();
    return error.what();
  }
  ADD_FAILURE() << "expected an error, got none";
  return "";
}
