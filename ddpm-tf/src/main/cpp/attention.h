// Self-attention over the pixels of images (Vaswani et al. 2017, eq. 1): y = softmax(query key' / sqrt(d)) value, in
// heads of d channels each.
#ifndef DDPM_ATTENTION_H_
#define DDPM_ATTENTION_H_

namespace ddpm {

// All images are [images, pixels, channels].
template <typename T>
struct Attention {
  long pixels;
  long channels;
  long heads;  // divides the channels
  const T* query;
  const T* key;
  const T* value;
  T* y;
};

template <typename T>
struct AttentionGradient {
  Attention<T> forward;  // without y
  const T* dy;
  T* dquery;
  T* dkey;
  T* dvalue;
};

}  // namespace ddpm

#endif  // DDPM_ATTENTION_H_
