// Batches of two-view samples as tensors, made by threads ahead of the training step.
#pragma once

#include <slotcon/core/two_views.h>
#include <slotcon/data/detail/normalisation.h>
#include <slotcon/data/image_source.h>
#include <slotcon/data/random.h>
#include <slotcon/data/two_view_transform.h>
#include <torch/types.h>

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace slotcon::data {

struct TwoViewLoaderOptions {
  std::int64_t batch_size = 64;  ///< images of a batch, of all processes together
  std::int64_t processes = 1;    ///< that share each batch
  std::int64_t rank = 0;         ///< which of them this loader is for
  int workers = 4;  ///< threads that make samples; 0 makes them in the thread that calls next()
  std::uint64_t seed = 0;  ///< of the order of the images and of their augmentations
  TwoViewOptions views;
};

/// Goes through the images of a source in a random order that changes from epoch to epoch, and
/// gives two views of each, in batches. The last images that do not fill a batch are left out.
///
/// Everything is determined by (seed, epoch): batches are the same for any number of workers, and
/// the views of an image by (seed, epoch, index of the image) alone.
///
/// Of several processes, each with a loader of its own, rank r gets the images
/// batch_size r / processes ... batch_size (r + 1) / processes, rounded down, of each batch. So
/// together they get the batches, and the views, that a single process gets: each image once an
/// epoch, with its own augmentation wherever it lands.
///
/// The views' tensors are [B,3,S,S] float32 in channels-last memory format, normalised with the
/// mean and standard deviation of ImageNet, in ordinary (not pinned) memory.
///
/// begin_epoch() and next() are for one thread.
class TwoViewLoader {
 public:
  /// Throws c10::ValueError if the source is null or has fewer images than a batch, or if an option
  /// is out of its range, and std::invalid_argument if one of the views' options is.
  TwoViewLoader(std::shared_ptr<const ImageSource> source, TwoViewLoaderOptions options)
      : source_(std::move(source)), options_(std::move(options)) {
    TORCH_CHECK_VALUE(source_ != nullptr, "TwoViewLoader: expected an image source, got null");
    TORCH_CHECK_VALUE(options_.batch_size > 0,
                      "TwoViewLoader: expected a positive batch_size, got ", options_.batch_size);
    TORCH_CHECK_VALUE(options_.processes >= 1 && options_.processes <= options_.batch_size,
                      "TwoViewLoader: expected processes in 1 ... ", options_.batch_size,
                      ", an image of a batch each, got ", options_.processes);
    TORCH_CHECK_VALUE(options_.rank >= 0 && options_.rank < options_.processes,
                      "TwoViewLoader: expected rank in 0 ... ", options_.processes - 1, ", got ",
                      options_.rank);
    TORCH_CHECK_VALUE(options_.workers >= 0, "TwoViewLoader: expected workers >= 0, got ",
                      options_.workers);
    TORCH_CHECK_VALUE(source_->size() >= options_.batch_size, "TwoViewLoader: expected at least ",
                      options_.batch_size, " images to fill a batch, got ", source_->size());
    check_options(options_.views);
    try {
      for (int worker = 0; worker < options_.workers; ++worker) {
        workers_.emplace_back([this] { work(); });
      }
    } catch (...) {  // no more threads to be had
      stop();
      throw;
    }
  }

  /// Stops the workers, each after the sample it is making.
  ~TwoViewLoader() { stop(); }

  TwoViewLoader(const TwoViewLoader&) = delete;
  TwoViewLoader& operator=(const TwoViewLoader&) = delete;

  /// The number of full batches in an epoch.
  std::int64_t batches_per_epoch() const { return source_->size() / options_.batch_size; }

  /// Starts an epoch at its batch `first_batch`, so that training resumes where it stopped; what is
  /// left of the epoch before is dropped. Throws c10::ValueError if first_batch is negative or
  /// beyond batches_per_epoch().
  void begin_epoch(std::int64_t epoch, std::int64_t first_batch = 0) {
    TORCH_CHECK_VALUE(first_batch >= 0 && first_batch <= batches_per_epoch(),
                      "TwoViewLoader: expected first_batch in 0 ... ", batches_per_epoch(),
                      ", got ", first_batch);
    const auto epoch_key = static_cast<std::uint64_t>(epoch);
    Random random = Random::keyed(options_.seed, epoch_key, kOrderKey);
    auto order =
        std::make_shared<const std::vector<std::int64_t>>(random.permutation(source_->size()));
    const std::lock_guard<std::mutex> lock(mutex_);
    epoch_ = epoch_key;
    order_ = std::move(order);
    next_batch_ = first_batch;
    ahead_.clear();
    open_batches();
  }

  /// The next batch, or nothing at the end of the epoch (and before the first one). Waits until the
  /// batch is ready. Rethrows what loading one of its images threw; that batch is then left out.
  std::optional<TwoViews> next() {
    std::unique_lock<std::mutex> lock(mutex_);
    open_batches();
    if (ahead_.empty()) return std::nullopt;
    const std::shared_ptr<Batch> batch = ahead_.front();
    while (workers_.empty() && has_samples_left(*batch)) make_sample(*batch, lock);
    batch_is_done_.wait(lock, [&] { return batch->unfinished == 0; });
    ahead_.pop_front();
    if (batch->error) std::rethrow_exception(batch->error);
    return std::move(batch->views);
  }

 private:
  /// How many batches the workers are ahead, the one that next() waits for included.
  static constexpr std::size_t kAhead = 3;
  /// Keys the order of an epoch; no image has this index.
  static constexpr std::uint64_t kOrderKey = ~std::uint64_t{0};

  struct Batch {
    TwoViews views;
    std::uint64_t epoch;
    std::shared_ptr<const std::vector<std::int64_t>> order;
    std::int64_t first;       ///< where this process' images start in the order
    std::int64_t started;     ///< samples that a thread has taken on
    std::int64_t unfinished;  ///< samples that are not done
    std::exception_ptr error;
  };

  /// Where the images of a rank begin in a batch.
  std::int64_t begin_of(std::int64_t rank) const {
    return options_.batch_size * rank / options_.processes;
  }

  /// Images of a batch that are for this process.
  std::int64_t own_size() const { return begin_of(options_.rank + 1) - begin_of(options_.rank); }

  bool has_samples_left(const Batch& batch) const { return batch.started < own_size(); }

  /// Fills `ahead_` with the next batches of the epoch. Only the user's thread allocates them, so
  /// that what allocation throws reaches the user.
  void open_batches() {
    const std::size_t wanted = workers_.empty() ? 1 : kAhead;
    while (ahead_.size() < wanted && order_ && next_batch_ < batches_per_epoch()) {
      ahead_.push_back(make_batch());
      ++next_batch_;
    }
    work_is_due_.notify_all();
  }

  std::shared_ptr<Batch> make_batch() const {
    const std::int64_t size = own_size(), side = options_.views.image_size;
    auto batch = std::make_shared<Batch>();
    for (std::size_t v = 0; v < 2; ++v) {
      batch->views.images[v] = at::empty({size, 3, side, side}, at::TensorOptions(at::kFloat),
                                         at::MemoryFormat::ChannelsLast);
      batch->views.geometry[v].boxes = at::empty({size, 4}, at::kFloat);
      batch->views.geometry[v].flipped = at::empty({size}, at::kBool);
    }
    batch->epoch = epoch_;
    batch->order = order_;
    batch->first = options_.batch_size * next_batch_ + begin_of(options_.rank);
    batch->started = 0;
    batch->unfinished = size;
    return batch;
  }

  /// The first batch with a sample to make, or null if there is nothing to do for now.
  std::shared_ptr<Batch> find_work() const {
    for (const auto& batch : ahead_) {
      if (has_samples_left(*batch)) return batch;
    }
    return nullptr;
  }

  void work() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!stopping_) {
      if (const auto batch = find_work()) {
        make_sample(*batch, lock);
      } else {
        work_is_due_.wait(lock);
      }
    }
  }

  /// Makes one sample of the batch, without holding the lock meanwhile.
  void make_sample(Batch& batch, std::unique_lock<std::mutex>& lock) {
    const std::int64_t sample = batch.started++;
    std::exception_ptr error;
    lock.unlock();
    try {
      fill_sample(batch, sample);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (error && !batch.error) batch.error = error;
    if (--batch.unfinished == 0) batch_is_done_.notify_all();
  }

  void stop() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    work_is_due_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  void fill_sample(Batch& batch, std::int64_t sample) const {
    const std::int64_t index = (*batch.order)[static_cast<std::size_t>(batch.first + sample)];
    Random random = Random::keyed(options_.seed, batch.epoch, static_cast<std::uint64_t>(index));
    const auto views = make_two_views(source_->load(index), options_.views, random);
    for (std::size_t v = 0; v < views.size(); ++v) {
      const auto& pixels = views[v].image.pixels;
      const auto& [boxes, flipped] = batch.views.geometry[v];
      float* image = batch.views.images[v].mutable_data_ptr<float>();
      detail::normalise(pixels, image + static_cast<std::size_t>(sample) * pixels.size());
      float* box = boxes.mutable_data_ptr<float>() + 4 * sample;
      box[0] = views[v].box.x1;
      box[1] = views[v].box.y1;
      box[2] = views[v].box.x2;
      box[3] = views[v].box.y2;
      flipped.mutable_data_ptr<bool>()[sample] = views[v].flipped;
    }
  }

  std::shared_ptr<const ImageSource> source_;
  TwoViewLoaderOptions options_;

  std::mutex mutex_;  ///< guards everything below but workers_
  std::condition_variable work_is_due_, batch_is_done_;
  bool stopping_ = false;
  std::uint64_t epoch_ = 0;
  std::shared_ptr<const std::vector<std::int64_t>> order_;
  std::int64_t next_batch_ = 0;
  std::deque<std::shared_ptr<Batch>> ahead_;
  std::vector<std::thread> workers_;
};

}  // namespace slotcon::data
