// Includes the library once more: a definition that is not inline would now be there twice.
#include <slotcon/loss/semantic_grouping.h>
