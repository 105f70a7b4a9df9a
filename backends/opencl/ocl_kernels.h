/* The programs and kernels of the OpenCL backend: a row of a list each.  A program is a file of
 * kernels/ with its build options; it is built at its first use. */
#ifndef OCL_KERNELS_H
#define OCL_KERNELS_H

/* clang-format off */
#define OCL_PROGRAMS(X) /* name, file, options */                                                 \
    X(elementwise, elementwise, "")                                                               \
    X(rows, rows, "")                                                                             \
    X(gemm_64, gemm, "-DTM=64 -DTN=64")                                                           \
    X(gemm_32, gemm, "-DTM=128 -DTN=32")                                                          \
    X(gemm_16, gemm, "-DTM=128 -DTN=16")                                                          \
    X(product_128x64, product, "-DTM=128 -DTN=64 -DWM=8 -DWN=8 -DA_TRANSPOSED=0 -DB_TRANSPOSED=0")        \
    X(product_128x64_nt, product, "-DTM=128 -DTN=64 -DWM=8 -DWN=8 -DA_TRANSPOSED=0 -DB_TRANSPOSED=1")     \
    X(product_128x64_tn, product, "-DTM=128 -DTN=64 -DWM=8 -DWN=8 -DA_TRANSPOSED=1 -DB_TRANSPOSED=0")     \
    X(product_64x64, product, "-DTM=64 -DTN=64 -DWM=8 -DWN=4 -DA_TRANSPOSED=0 -DB_TRANSPOSED=0")          \
    X(product_64x64_nt, product, "-DTM=64 -DTN=64 -DWM=8 -DWN=4 -DA_TRANSPOSED=0 -DB_TRANSPOSED=1")       \
    X(product_64x64_tn, product, "-DTM=64 -DTN=64 -DWM=8 -DWN=4 -DA_TRANSPOSED=1 -DB_TRANSPOSED=0")       \
    X(product_32x32, product, "-DTM=32 -DTN=32 -DWM=4 -DWN=4 -DA_TRANSPOSED=0 -DB_TRANSPOSED=0")          \
    X(product_32x32_nt, product, "-DTM=32 -DTN=32 -DWM=4 -DWN=4 -DA_TRANSPOSED=0 -DB_TRANSPOSED=1")       \
    X(product_32x32_tn, product, "-DTM=32 -DTN=32 -DWM=4 -DWN=4 -DA_TRANSPOSED=1 -DB_TRANSPOSED=0")       \
    X(product_128x32, product, "-DTM=128 -DTN=32 -DWM=8 -DWN=4 -DA_TRANSPOSED=0 -DB_TRANSPOSED=0")        \
    X(product_128x32_nt, product, "-DTM=128 -DTN=32 -DWM=8 -DWN=4 -DA_TRANSPOSED=0 -DB_TRANSPOSED=1")     \
    X(product_128x32_tn, product, "-DTM=128 -DTN=32 -DWM=8 -DWN=4 -DA_TRANSPOSED=1 -DB_TRANSPOSED=0")     \
    X(product_128x16, product, "-DTM=128 -DTN=16 -DWM=4 -DWN=4 -DA_TRANSPOSED=0 -DB_TRANSPOSED=0")        \
    X(product_128x16_nt, product, "-DTM=128 -DTN=16 -DWM=4 -DWN=4 -DA_TRANSPOSED=0 -DB_TRANSPOSED=1")     \
    X(product_128x16_tn, product, "-DTM=128 -DTN=16 -DWM=4 -DWN=4 -DA_TRANSPOSED=1 -DB_TRANSPOSED=0")     \
    X(sums, sums, "")                                                                             \
    X(bn_1, bn, "-DV=1")                                                                          \
    X(bn_4, bn, "-DV=4")                                                                         \
    X(conv, conv, "")                                                                             \
    X(dw_3_1_2, depthwise, "-DK=3 -DS=1 -DP=2")                                                   \
    X(dw_3_1_4, depthwise, "-DK=3 -DS=1 -DP=4")                                                   \
    X(dw_3_2_2, depthwise, "-DK=3 -DS=2 -DP=2")                                                   \
    X(dw_3_2_4, depthwise, "-DK=3 -DS=2 -DP=4")                                                   \
    X(dw_5_1_2, depthwise, "-DK=5 -DS=1 -DP=2")                                                   \
    X(dw_5_1_4, depthwise, "-DK=5 -DS=1 -DP=4")                                                   \
    X(dw_5_2_2, depthwise, "-DK=5 -DS=2 -DP=2")                                                   \
    X(dw_5_2_4, depthwise, "-DK=5 -DS=2 -DP=4")                                                   \
    X(trm, trm, "")                                                                               \
    X(loss, loss, "")                                                                             \
    X(flat, flat, "-DCHUNK=4096")

#define OCL_KERNELS(X) /* id, program, function */                                                \
    X(store16, elementwise, store16)                                                              \
    X(load16, elementwise, load16)                                                                \
    X(activation, elementwise, activation)                                                        \
    X(activation_grad, elementwise, activation_grad)                                              \
    X(add, elementwise, add)                                                                      \
    X(scale, elementwise, scale)                                                                  \
    X(fill, elementwise, fill)                                                                    \
    X(dropout, elementwise, dropout)                                                              \
    X(dropout_samples, elementwise, dropout_samples)                                              \
    X(swiglu, elementwise, swiglu)                                                                \
    X(swiglu_grad, elementwise, swiglu_grad)                                                      \
    X(expand, rows, expand)                                                                       \
    X(expand_rows, rows, expand_rows)                                                             \
    X(mean_rows, rows, mean_rows)                                                                 \
    X(select_rows, rows, select_rows)                                                             \
    X(transpose, rows, transpose)                                                                 \
    X(gemm_64, gemm_64, gemm)                                                                     \
    X(gemm_32, gemm_32, gemm)                                                                     \
    X(gemm_16, gemm_16, gemm)                                                                     \
    X(product_128x64, product_128x64, product)                                                    \
    X(product_128x64_nt, product_128x64_nt, product)                                              \
    X(product_128x64_tn, product_128x64_tn, product)                                              \
    X(product_64x64, product_64x64, product)                                                      \
    X(product_64x64_nt, product_64x64_nt, product)                                                \
    X(product_64x64_tn, product_64x64_tn, product)                                                \
    X(product_32x32, product_32x32, product)                                                      \
    X(product_32x32_nt, product_32x32_nt, product)                                                \
    X(product_32x32_tn, product_32x32_tn, product)                                                \
    X(product_128x32, product_128x32, product)                                                    \
    X(product_128x32_nt, product_128x32_nt, product)                                              \
    X(product_128x32_tn, product_128x32_tn, product)                                              \
    X(product_128x16, product_128x16, product)                                                    \
    X(product_128x16_nt, product_128x16_nt, product)                                              \
    X(product_128x16_tn, product_128x16_tn, product)                                              \
    X(sum_rows, sums, sum_rows)                                                                   \
    X(sum_parts, sums, sum_parts)                                                                 \
    X(bn_moments_1, bn_1, bn_moments)                                                             \
    X(bn_moments_4, bn_4, bn_moments)                                                             \
    X(bn_finish_1, bn_1, bn_finish)                                                               \
    X(bn_finish_4, bn_4, bn_finish)                                                               \
    X(bn_apply_1, bn_1, bn_apply)                                                                 \
    X(bn_apply_4, bn_4, bn_apply)                                                                 \
    X(bn_whole_1, bn_1, bn_whole)                                                                 \
    X(bn_whole_4, bn_4, bn_whole)                                                                 \
    X(bn_grad_sums_1, bn_1, bn_grad_sums)                                                         \
    X(bn_grad_sums_4, bn_4, bn_grad_sums)                                                         \
    X(bn_grad_finish_1, bn_1, bn_grad_finish)                                                     \
    X(bn_grad_finish_4, bn_4, bn_grad_finish)                                                     \
    X(bn_grad_dx_1, bn_1, bn_grad_dx)                                                             \
    X(bn_grad_dx_4, bn_4, bn_grad_dx)                                                             \
    X(bn_grad_whole_1, bn_1, bn_grad_whole)                                                       \
    X(bn_grad_whole_4, bn_4, bn_grad_whole)                                                       \
    X(depthwise_any, conv, depthwise_any)                                                         \
    X(depthwise_3_1, conv, depthwise_3_1)                                                         \
    X(depthwise_3_2, conv, depthwise_3_2)                                                         \
    X(depthwise_5_1, conv, depthwise_5_1)                                                         \
    X(depthwise_5_2, conv, depthwise_5_2)                                                         \
    X(depthwise_grad_input_any, conv, depthwise_grad_input_any)                                   \
    X(depthwise_grad_input_3_1, conv, depthwise_grad_input_3_1)                                   \
    X(depthwise_grad_input_3_2, conv, depthwise_grad_input_3_2)                                   \
    X(depthwise_grad_input_5_1, conv, depthwise_grad_input_5_1)                                   \
    X(depthwise_grad_input_5_2, conv, depthwise_grad_input_5_2)                                   \
    X(depthwise_grad_weight, conv, depthwise_grad_weight)                                         \
    X(dw_3_1_2, dw_3_1_2, depthwise)                                                              \
    X(dw_3_1_4, dw_3_1_4, depthwise)                                                              \
    X(dw_3_2_2, dw_3_2_2, depthwise)                                                              \
    X(dw_3_2_4, dw_3_2_4, depthwise)                                                              \
    X(dw_5_1_2, dw_5_1_2, depthwise)                                                              \
    X(dw_5_1_4, dw_5_1_4, depthwise)                                                              \
    X(dw_5_2_2, dw_5_2_2, depthwise)                                                              \
    X(dw_5_2_4, dw_5_2_4, depthwise)                                                              \
    X(dw_grad_input_3_2, dw_3_2_2, depthwise_grad_input)                                          \
    X(dw_grad_input_5_2, dw_5_2_2, depthwise_grad_input)                                          \
    X(dw_grad_weight_3_1, dw_3_1_2, depthwise_grad_weight)                                        \
    X(dw_grad_weight_3_2, dw_3_2_2, depthwise_grad_weight)                                        \
    X(dw_grad_weight_5_1, dw_5_1_2, depthwise_grad_weight)                                        \
    X(dw_grad_weight_5_2, dw_5_2_2, depthwise_grad_weight)                                        \
    X(conv2d, conv, conv2d)                                                                       \
    X(conv2d_grad_input, conv, conv2d_grad_input)                                                 \
    X(conv2d_grad_weight, conv, conv2d_grad_weight)                                               \
    X(rms_norm, trm, rms_norm)                                                                    \
    X(rms_norm_grad, trm, rms_norm_grad)                                                          \
    X(rope, trm, rope)                                                                            \
    X(attention_weights, trm, attention_weights)                                                  \
    X(attention_values, trm, attention_values)                                                    \
    X(attention_scores_grad, trm, attention_scores_grad)                                          \
    X(attention_grad, trm, attention_grad)                                                        \
    X(cross_entropy, loss, cross_entropy)                                                         \
    X(cross_entropy_grad, loss, cross_entropy_grad)                                               \
    X(halt_loss, loss, halt_loss)                                                                 \
    X(halt_loss_grad, loss, halt_loss_grad)                                                       \
    X(lerp, flat, lerp)                                                                           \
    X(adamw, flat, adamw)                                                                         \
    X(sgd, flat, sgd)                                                                             \
    X(blend, flat, blend)                                                                         \
    X(dots, flat, dots)                                                                           \
    X(sum_squares, flat, sum_squares)                                                             \
    X(sum_squares_end, flat, sum_squares_end)                                                     \
    X(noise, flat, noise)
/* clang-format on */

#define OCL_CHUNK 4096 /* elements of an arena for each group; as in the options of `flat` */

typedef enum ocl_program {
#define X(name, file, options) OCL_PROGRAM_##name,
    OCL_PROGRAMS(X)
#undef X
        OCL_PROGRAM_COUNT
} ocl_program;

typedef enum ocl_kernel {
#define X(id, program, function) OCL_KERNEL_##id,
    OCL_KERNELS(X)
#undef X
        OCL_KERNEL_COUNT
} ocl_kernel;

#endif
