#ifdef __cplusplus
}
#endif

#endif /* beside the kernel tree's headers */
#endif /* VIRTIO_RING_H */
