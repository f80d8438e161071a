// Content security policies say nothing of WebRTC's packets yet (`webrtc 'block'` is a draft that browsers warn of), so the page takes it
// from itself and from all packages in it, before any of them runs. Workers have none.
for (const name of ['RTCPeerConnection', 'webkitRTCPeerConnection']) {
  if (name in globalThis) Object.defineProperty(globalThis, name, { value: undefined, writable: false });
}

export {};
