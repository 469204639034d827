// Everything of slotcon that needs LibTorch and nothing else. Slow to compile: prefer the headers
// you use.
//
// Not included: the files that read or write images (slotcon::images), slotcon/data/image_file.h,
// image_folder.h, class_folders.h, labelled_files.h and labelled_images.h, and
// slotcon/train/distributed.h (slotcon::distributed).
#pragma once

#include <slotcon/core/autocast.h>
#include <slotcon/core/backend.h>
#include <slotcon/core/collectives.h>
#include <slotcon/core/two_views.h>
#include <slotcon/data/cached_images.h>
#include <slotcon/data/centre_square.h>
#include <slotcon/data/cityscapes.h>
#include <slotcon/data/coco_stuff.h>
#include <slotcon/data/image_tensor.h>
#include <slotcon/data/pascal_voc.h>
#include <slotcon/data/scenes.h>
#include <slotcon/data/two_view_loader.h>
#include <slotcon/data/two_view_transform.h>
#include <slotcon/eval/cluster_baselines.h>
#include <slotcon/eval/dense_clusters.h>
#include <slotcon/eval/label_shares.h>
#include <slotcon/eval/linear_probe.h>
#include <slotcon/eval/neighbours.h>
#include <slotcon/eval/segmentation_score.h>
#include <slotcon/io/detectron2.h>
#include <slotcon/io/pth.h>
#include <slotcon/io/safetensors.h>
#include <slotcon/io/weights.h>
#include <slotcon/loss/aligned_assignment.h>
#include <slotcon/loss/inverse_augmentation.h>
#include <slotcon/loss/prototype_assignment.h>
#include <slotcon/loss/semantic_grouping.h>
#include <slotcon/loss/sinkhorn_assignment.h>
#include <slotcon/loss/slot_info_nce.h>
#include <slotcon/loss/slotcon_loss.h>
#include <slotcon/model/batch_norm.h>
#include <slotcon/model/memory_format.h>
#include <slotcon/model/projection_head.h>
#include <slotcon/model/resnet.h>
#include <slotcon/model/slotcon.h>
#include <slotcon/model/teacher.h>
#include <slotcon/train/adamw.h>
#include <slotcon/train/broadcast.h>
#include <slotcon/train/checkpoint.h>
#include <slotcon/train/collapse_watch.h>
#include <slotcon/train/gradient_average.h>
#include <slotcon/train/lars.h>
#include <slotcon/train/random_state.h>
#include <slotcon/train/schedule.h>
#include <slotcon/train/training_step.h>
#include <slotcon/version.h>
#include <slotcon/view/bar_chart.h>
#include <slotcon/view/chart_style.h>
#include <slotcon/view/contact_sheet.h>
#include <slotcon/view/heat_map.h>
#include <slotcon/view/html.h>
#include <slotcon/view/line_chart.h>
#include <slotcon/view/prototype_sheet.h>
#include <slotcon/view/prototype_usage.h>
#include <slotcon/view/segmentation.h>
#include <slotcon/view/usage_histogram.h>
